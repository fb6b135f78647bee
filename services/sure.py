"""Sure, personal finance: its database, named `sure_production` as Rails expects."""

from model.service import Database

DATABASE = Database(name="sure_production", user="sure", extensions=("uuid-ossp", "pgcrypto"))
