from tests.dispatch.conftest import message_reader as message_reader  # a fixture
