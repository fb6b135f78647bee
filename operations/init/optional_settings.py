"""Settings that have a default, or that can be set later."""

from dataclasses import dataclass

from model.kind import Kind
from model.settings import Settings
from operations.init import answers
from operations.init.session import Session


@dataclass(frozen=True, kw_only=True)
class Question:
    """One setting whose value is text."""

    key: str
    title: str
    text: str
    form: str
    example: str
    kinds: tuple[Kind, ...] = (Kind.PRODUCTION, Kind.COPY)


QUESTIONS = (
    Question(
        key="acmeEmail",
        title="Mail address",
        text="The certificates' issuer writes there when something is wrong with them.",
        form="mail address",
        example="ops@example.org",
    ),
    Question(
        key="timezone",
        title="Time zone",
        text="Of the hosts, and of the services that show or plan times.",
        form="time zone of the IANA database",
        example="Europe/Paris",
    ),
    Question(
        key="expires",
        title="End",
        text="When `make reap` destroys the stack, in UTC: a server that is forgotten is paid for.",
        form="moment in UTC",
        example="2026-12-31T12:00Z",
        kinds=(Kind.COPY,),
    ),
    Question(
        key="bucketPrefix",
        title="Buckets",
        text="Backups and attachments go into buckets of Hetzner's object storage (docs/runbooks/buckets.md). Their names begin "
        "with this, which has to be unique among all customers. Without it there are no backups.",
        form="beginning of a bucket's name: small letters, digits and dashes",
        example="example-org",
        kinds=(Kind.PRODUCTION,),
    ),
    Question(
        key="recoveryRecipient",
        title="Recovery kit",
        text="What a restore needs is sealed to this public age key; its private half stays away from this machine. To make one, "
        "elsewhere: age-keygen -o recovery.key",
        form="public age key: age1, and 58 small letters and digits",
        example="age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p",
        kinds=(Kind.PRODUCTION,),
    ),
)


def _kept(question: Question) -> str:
    """The value without an answer."""
    field = next(field for field in Settings.model_fields.values() if field.alias == question.key)
    return str(field.default or "later")


def others(session: Session) -> None:
    """Ask for each setting that is not set; Enter keeps its default."""
    for question in QUESTIONS:
        if question.key in session.written.values or session.kind not in question.kinds:
            continue
        session.dialogue.topic(question.title, f"{question.text}\nEnter: {_kept(question)}.\nExample: {question.example}")
        read = answers.or_later(answers.setting(question.key, question.form, question.example))
        answer = session.dialogue.ask(question.key, read, enter="")
        if answer:
            session.written.set({question.key: answer})
