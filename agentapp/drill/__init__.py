"""The drill: operational questions, answered by causing faults in a running stack. [H6]"""
