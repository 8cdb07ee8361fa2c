"""The gateway's way to a service: connections, their pool, the breaker, and what may be said on the wire.

balance      the instances of a service, and which of them is asked next
connection   one HTTP/1.1 connection, one exchange at a time, streamed both ways with backpressure
pool         idle connections of one instance, and the sweeper that bounds every wait
breaker      opens when an instance cannot be reached
errors       what can go wrong between the gateway and a service
"""
