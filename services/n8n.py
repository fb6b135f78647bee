"""n8n, workflow automation: its database and its key."""

from model.secret import Generated, Secret
from model.service import Database

DATABASE = Database(name="n8n", user="n8n", extensions=("uuid-ossp",))

ENCRYPTION_KEY = Secret(
    name="n8n_encryption_key",
    source=Generated(length=64, hexadecimal=True),
    irreplaceable="n8n encrypts every stored credential with it",
)
