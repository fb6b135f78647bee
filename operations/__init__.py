"""An operator's commands besides `pulumi up`: inspect, run, recover, roll back, check, keep a recovery kit."""
