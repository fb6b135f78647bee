"""What stands, asked: requests that must be answered and refused, credentials, drift, buckets, images."""
