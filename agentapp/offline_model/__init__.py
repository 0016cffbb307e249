"""A model server without a model: the OpenAI API over HTTP, answered by quoting what the messages contain.

It is a process of its own and knows nothing of agentapp: it sees HTTP messages, tools and schemas, and works on
their structure (text in `<tag>` sections). The same request always gets the same answer.
"""
