"""The second factor of people who sign in: an app that shows a code for each half minute (TOTP, RFC 6238), and codes on
paper for the day on which the phone is lost.

django-otp keeps the devices, and pauses after wrong codes; a code is good for one sign-in.
"""

from __future__ import annotations

import re
from functools import partial

from django.contrib.auth.models import User
from django.db import transaction
from django_otp.plugins.otp_static.models import StaticDevice, StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice
from django_otp.util import random_hex

from agentapp.errors import IllegalMove, InvalidInput
from agentapp.models import Membership
from agentapp.services import factor_secrets, people
from agentapp.services.principals import Principal

CODES = 10
_NAME = "app"
_SECRET_BYTES = 20
_BESIDE_SECRET = [field.name for field in TOTPDevice._meta.concrete_fields if field.name not in ("id", "key")]
_OF_APP, _ON_PAPER = re.compile(r"[0-9]{6}"), re.compile(r"[a-z2-7]{8}")
_WRONG = "This is not the code that the app shows now. See that the clock of the phone is right, and take the next one."


def has_one(person: User) -> bool:
    """Whether signing in takes a code."""
    found: bool = TOTPDevice.objects.filter(user=person, confirmed=True).exists()
    return found


def matched(person: User, code: str) -> TOTPDevice | StaticDevice | None:
    """Return the device that the code is of, which uses it up; None: of none. Blanks in it do not count.

    Call it in no transaction that an error ends: after a wrong code the device takes none for a while, which must stay.
    """
    code = code.replace(" ", "").lower()
    # A mistyped code of the app must not make the paper wait: nothing but a code on paper would end that.
    kind: type[TOTPDevice | StaticDevice] | None = None
    if _OF_APP.fullmatch(code):
        kind = TOTPDevice
    elif _ON_PAPER.fullmatch(code):
        kind = StaticDevice
    # Who forgets it is not made to wait for it.
    if kind is None:
        return None
    with transaction.atomic():
        devices = kind.objects.select_for_update().filter(user=person, confirmed=True).order_by("pk")
        return next((device for device in devices if _fits(device, code)), None)


def _fits(device: TOTPDevice | StaticDevice, code: str) -> bool:
    """Whether a code is of a device, which is locked; it is used up."""
    if isinstance(device, StaticDevice):
        known = factor_secrets.tokens(code)
        kept = device.token_set.filter(token__in=known).values_list("token", flat=True).first()
        return bool(device.verify_token(kept or known[0]))
    secret = factor_secrets.opened(device.key, user_id=device.user_id)
    if secret is None:
        return False
    device.key = secret
    # It saves itself, but not the secret as it is now.
    device.save = partial(device.save, update_fields=_BESIDE_SECRET)
    fits = bool(device.verify_token(code))
    if fits:
        # Anew, by the present key: it may have been stored by another, or as it is.
        kept = factor_secrets.sealed(secret, user_id=device.user_id)
        TOTPDevice.objects.filter(pk=device.pk).update(key=kept)
    return fits


@transaction.atomic
def begun(person: User) -> TOTPDevice:
    """Return the device that is being set up, with its secret as it is: do not save it. The secret stays the same until
    a code of it confirms it.

    Raises IllegalMove: there is one already.
    """
    # Two tabs show the same secret.
    User.objects.select_for_update(no_key=True).get(pk=person.pk)
    if has_one(person):
        raise IllegalMove("You have a second factor already. Remove it first.")
    device: TOTPDevice | None = TOTPDevice.objects.filter(user=person, name=_NAME).order_by("pk").first()
    device = device or TOTPDevice(user=person, name=_NAME, confirmed=False, key="")
    secret = factor_secrets.opened(device.key, user_id=person.pk)
    if not secret:
        secret = random_hex(_SECRET_BYTES)
        device.key = factor_secrets.sealed(secret, user_id=person.pk)
        device.save()
    device.key = secret
    return device


@transaction.atomic
def confirm(person: User, code: str) -> tuple[TOTPDevice, list[str]]:
    """End the set-up by a code that the app shows; return the device and the codes on paper, which are shown once.

    Raises:
        IllegalMove: there is a second factor already, or none was begun.
        InvalidInput: the code is wrong.
    """
    device = TOTPDevice.objects.select_for_update().filter(user=person, name=_NAME).order_by("pk").first()
    if device is None or device.confirmed:
        raise IllegalMove("There is nothing to confirm: begin again.")
    if not _fits(device, code.replace(" ", "")):
        raise InvalidInput.at("code", _WRONG)
    TOTPDevice.objects.filter(pk=device.pk).update(confirmed=True)
    people.note_of_all(person, "second factor added")
    return device, _paper(person)


def remove(person: User, code: str) -> None:
    """Take the own second factor away, by a code of it. Raises InvalidInput: the code is wrong."""
    if matched(person, code) is None:
        raise InvalidInput.at("code", _WRONG)
    with transaction.atomic():
        _forget(person)
        people.note_of_all(person, "second factor ended")


@transaction.atomic
def forget(by: Principal, membership_id: int) -> Membership:
    """Take away the second factor of a person who has lost it. Raises as `people.set_active`."""
    membership = people.whole(by, membership_id)
    _forget(membership.user)
    people.note(membership, "second factor ended", by)
    return membership


def _forget(person: User) -> None:
    TOTPDevice.objects.filter(user=person).delete()
    StaticDevice.objects.filter(user=person).delete()


def _paper(person: User) -> list[str]:
    StaticDevice.objects.filter(user=person).delete()
    device = StaticDevice.objects.create(user=person, name="paper")
    codes = [StaticToken.random_token() for _ in range(CODES)]
    device.token_set.bulk_create([StaticToken(device=device, token=factor_secrets.tokens(code)[0]) for code in codes])
    return codes
