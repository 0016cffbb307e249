"""People of two tenants, and runs that stand where a person is needed: those of the admin's tests."""

from tests.admin.conftest import dead as dead
from tests.admin.conftest import make_staff as make_staff
from tests.admin.conftest import member as member
from tests.admin.conftest import operator as operator
from tests.admin.conftest import reader as reader
from tests.admin.conftest import start as start
from tests.admin.conftest import stranger as stranger
from tests.admin.conftest import waiting as waiting
from tests.browser import browser as browser
from tests.browser import page as page
