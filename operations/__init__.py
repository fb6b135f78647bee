"""What an operator does besides `pulumi up`: look, run, recover, roll back, check, keep a recovery kit."""
