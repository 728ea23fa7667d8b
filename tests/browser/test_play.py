import pytest
from tests.arrivals import arrive
pytestmark = [pytest.mark.browser]
def test_play(house, page, sign_in, photograph):
    page.goto("/")
    photograph("sign-in")
    sign_in("alice@house.test")
    photograph("empty")
    arrive([house.support])
    page.wait_for_selector(".row", timeout=5000)
    photograph("arrived")
    page.click(".row > a")
    page.wait_for_selector("#conversation")
    photograph("open")
