"""What a bucket and those who ask S3 about it call the same things."""

ACCESS_KEY, SECRET_KEY = "s3_admin_access_key", "s3_admin_secret_key"
"""The settings with the admin key's two halves."""
FOUND = ("versioning", "lifecycle", "policy", "lock_days")
"""The properties of a bucket that S3 can be asked."""
