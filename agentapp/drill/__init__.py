"""The drill: operational questions that are asked of a running stack by doing it harm. [H6]"""
