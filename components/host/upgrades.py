"""unattended-upgrades: installs security fixes on Debian and Ubuntu."""

from components.host.files import HostFile

PATH = "/etc/apt/apt.conf.d/60-vpai-upgrades"

# Debian's packaged file sets Origins-Pattern, Ubuntu's sets Allowed-Origins. Both are cleared: only the list below counts.
_ORIGINS = """APT::Periodic::Update-Package-Lists "1";
APT::Periodic::Unattended-Upgrade "1";
#clear Unattended-Upgrade::Allowed-Origins;
#clear Unattended-Upgrade::Origins-Pattern;
Unattended-Upgrade::Origins-Pattern {
    "origin=Debian,codename=${distro_codename},label=Debian-Security";
    "origin=Debian,codename=${distro_codename}-security,label=Debian-Security";
    "origin=Ubuntu,archive=${distro_codename}-security";
};
Unattended-Upgrade::MinimalSteps "true";
Unattended-Upgrade::Remove-Unused-Kernel-Packages "true";
"""


def apt_configuration(reboot_window: str | None) -> HostFile:
    """apt's configuration. `reboot_window` "HH:MM": when the host may restart itself after an upgrade; None: never."""
    if reboot_window is None:
        return HostFile(PATH, _ORIGINS + 'Unattended-Upgrade::Automatic-Reboot "false";\n')
    return HostFile(
        PATH,
        _ORIGINS
        + f'Unattended-Upgrade::Automatic-Reboot "true";\nUnattended-Upgrade::Automatic-Reboot-Time "{reboot_window}";\n',
    )
