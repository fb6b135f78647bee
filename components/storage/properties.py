"""Names of a bucket's properties, for the resource and for the code that calls S3."""

ACCESS_KEY, SECRET_KEY = "s3_admin_access_key", "s3_admin_secret_key"
"""The settings with the admin key's two halves."""
FOUND = ("versioning", "lifecycle", "policy", "lock_days")
"""The properties of a bucket that S3 can report."""
