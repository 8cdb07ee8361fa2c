"""What an operator and a developer run: the embedded stack, the `millrace` command, the demo, the benchmark.

Owns nothing: it starts the servers and the services, and asks the services through their doors.
"""
