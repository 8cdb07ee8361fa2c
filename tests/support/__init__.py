"""What tests stand on: real servers, cloned databases, the whole platform, a tenant in it."""
