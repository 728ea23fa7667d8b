import pytest
from django.utils import timezone

from apps.accounts.principal import Principal
from apps.automation.errors import RuleInvalid
from apps.automation.models import DEFAULT_TEXT, AcknowledgementRule
from apps.automation.selectors import acknowledgement_rule_for
from apps.automation.services import MAX_TEXT_CHARS, change_acknowledgement_rule
from apps.events.models import Event
from apps.mailboxes.errors import NotVisible
from apps.mailboxes.selectors import visible_mailboxes
from tests.people import House


def test_a_mailbox_without_a_rule_acknowledges_nothing(house: House) -> None:
    rule = acknowledgement_rule_for(house.as_alice, house.support.pk)
    assert (rule.is_on, rule.text) == (False, DEFAULT_TEXT)
    assert not AcknowledgementRule.objects.exists()


def test_an_admin_switches_it_on_and_off_and_changes_the_words(house: House) -> None:
    now = timezone.now()
    rule = change_acknowledgement_rule(house.as_key, house.support, is_on=True, now=now)
    assert (rule.is_on, rule.on_since, rule.text) == (True, now, DEFAULT_TEXT)
    later = timezone.now()
    rule = change_acknowledgement_rule(house.as_key, house.support, text=" Hello\r\n#{number} ", now=later)
    assert (rule.on_since, rule.text) == (now, "Hello\n#{number}")
    rule = change_acknowledgement_rule(
        Principal.of_user(house.admin), house.support, is_on=False, now=timezone.now()
    )
    assert (rule.is_on, rule.on_since, rule.text) == (False, None, "Hello\n#{number}")
    assert Event.objects.filter(kind="automation.rule_changed").count() == 3


def test_agents_see_it_and_only_admins_change_it(house: House, stranger: House) -> None:
    for other in (house.as_alice, stranger.as_key, Principal.of_user(stranger.admin)):
        with pytest.raises(NotVisible):
            change_acknowledgement_rule(other, house.support, is_on=True, now=timezone.now())
    with pytest.raises(NotVisible):
        acknowledgement_rule_for(stranger.as_key, house.support.pk)
    with pytest.raises(NotVisible):
        acknowledgement_rule_for(house.as_alice, house.bobs.pk)
    assert not AcknowledgementRule.objects.exists()


@pytest.mark.parametrize("text", ["", " \n ", "\x00", "x" * (MAX_TEXT_CHARS + 1)])
def test_words_that_cannot_be_sent_are_refused(house: House, text: str) -> None:
    with pytest.raises(RuleInvalid) as caught:
        change_acknowledgement_rule(house.as_key, house.support, text=text, now=timezone.now())
    assert caught.value.field == "text"


def test_a_persons_own_mailbox_has_no_tickets_to_acknowledge(house: House) -> None:
    with pytest.raises(RuleInvalid) as caught:
        change_acknowledgement_rule(house.as_key, house.alices, is_on=True, now=timezone.now())
    assert caught.value.field == "is_on"


def test_a_room_acts_within_its_organisation_only(house: House, stranger: House) -> None:
    principal = Principal.of_room(house.organisation.pk, "automation")
    assert principal.actor == "automation"
    assert {mailbox.organisation_id for mailbox in visible_mailboxes(principal)} == {house.organisation.pk}
