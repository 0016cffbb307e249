"""Event streams: what happens to tasks, told to clients as it is committed.

The rows of the history are the events, Redis only wakes, and a stream that waits holds no thread and no connection.
"""
