"""The desired state of a host as pure values (files, packages, users), and the state that the host reports."""
