"""The bounded contexts; none imports another."""
