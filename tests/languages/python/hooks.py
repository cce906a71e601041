"""A plugin with four hooks in Python, without an SDK."""

from functools import wraps

from componentize_py_types import Err
from wit_world import exports
from wit_world.imports import (
    attempt,
    log,
    lookup,
    message,
    message_edit,
    recipient,
    session,
    settings,
    transaction,
    types,
)

def reply(text: str) -> types.Reply:
    return types.Reply(550, "5.7.1", text)


def failure(error: types.Error) -> types.Failure:
    """What an error of the host's means in words, and whether asking again may help."""
    transient = isinstance(error, (types.Error_Unavailable, types.Error_Timeout))
    return types.Failure(transient, getattr(error, "value", type(error).__name__))


def hook(ask):
    """An error of the host's fails a hook, a bug is told to the operator and traps."""

    @wraps(ask)
    def asked(self):
        try:
            return ask(self)
        except Err as error:
            raise Err(failure(error.value))
        except Exception as bug:
            # `traceback` would open the source, and there are no files here.
            place = bug.__traceback__
            lines = []
            while place is not None:
                code = place.tb_frame.f_code
                lines.append(f"  {code.co_filename}:{place.tb_lineno} in {code.co_qualname}")
                place = place.tb_next
            log.write(log.Level.ERROR, "\n".join([repr(bug), *lines]))
            raise

    return asked


class Plugin(exports.Plugin):
    def init(self) -> None:
        try:
            table = settings.text("table")
            if table is None:
                raise Err(types.Error_Invalid("set `table`"))
            lookup.check(table)
            settings.keep(table.encode())
        except Err as error:
            raise Err(failure(error.value).reason)


class OnRcpt(exports.OnRcpt):
    @hook
    def ask(self) -> types.Verdict:
        local = recipient.address().local
        if local == "panic":
            raise RuntimeError("the recipient panic was asked about")
        if local == "no":
            return types.Verdict_Reject(reply(f"{session.helo() or 'nobody'} may not write to no"))
        found = lookup.find_recipient([settings.kept().decode()], lookup.Manner.ACCESS)
        if found is not None:
            transaction.set_tag("found", found.value)
        return types.Verdict_NoOpinion()


class OnContent(exports.OnContent):
    @hook
    def ask(self) -> types.ContentVerdict:
        for subject in message.header_text("Subject")[:1]:
            message_edit.add_header("X-Subject", subject)
        if message.read(message.body_offset(), 3) == b"BUY":
            return types.ContentVerdict_Reject(reply("no, thank you"))
        return types.ContentVerdict_NoOpinion()


class OnAlias(exports.OnAlias):
    @hook
    def ask(self) -> types.Expansion:
        address = recipient.address()

        def at(local: str) -> types.MailAddress:
            return types.MailAddress(local, address.domain)

        match address.local:
            case "team":
                targets = [types.Target_Address(at(local)) for local in ("ann", "bob")]
                return types.Expansion_Targets(types.Expanded(targets, at("owner-team")))
            case "gone":
                return types.Expansion_Unknown("moved away")
            case "here":
                return types.Expansion_Exists()
            case _:
                return types.Expansion_NoOpinion()


class OnDelivery(exports.OnDelivery):
    @hook
    def ask(self) -> types.Advice:
        if attempt.said().code < 400 or attempt.number() > 3:
            return types.Advice_AsPlanned()
        return types.Advice_RetryAfter(attempt.number() * 60_000)
