"""The commands of `millrace`, a file per noun."""
