"""The HTTP API: JSON in, JSON out, problem documents for everything that went wrong. [A1] [A2] [A9]

An endpoint checks a scope, reads its input strictly, calls one service and renders what came back. It knows no rules.
"""
