"""NocoDB, tables over PostgreSQL: its database."""

from model.service import Database

DATABASE = Database(name="nocodb", user="nocodb")
