from tests.dispatch.conftest import postman as postman  # a fixture
