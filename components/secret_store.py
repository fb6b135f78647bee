"""Values for secrets: given from outside, or made by the random provider."""

from collections.abc import Mapping, Sequence

import pulumi
import pulumi_random

from model.secret import External, Generated, Secret, references, resolve


class SecretStore(pulumi.ComponentResource):
    """The value of every secret of a fleet, as Outputs that stay secret."""

    def __init__(
        self,
        name: str,
        secrets: Sequence[Secret],
        *,
        external: Mapping[str, pulumi.Input[str]],
        rotations: Mapping[str, int],
        protect: bool,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("vpai:index:SecretStore", name, None, opts)
        self.values: dict[str, pulumi.Output[str]] = {}
        for secret in secrets:
            match secret.source:
                case _ if secret.name in external:
                    self.values[secret.name] = pulumi.Output.secret(external[secret.name])
                case Generated() as generated:
                    self.values[secret.name] = self._generate(secret, generated, rotations.get(secret.name, 0), protect)
                case External(optional=True):
                    self.values[secret.name] = pulumi.Output.secret("")
        self.register_outputs({})

    def resolve(self, text: str) -> pulumi.Output[str]:
        """`text` with its references replaced; secret exactly when it has any."""
        names = sorted(references(text))
        if not names:
            return pulumi.Output.from_input(text)
        values = pulumi.Output.all(**{name: self.values[name] for name in names})
        return values.apply(lambda values: resolve(text, values))

    def _generate(self, secret: Secret, generated: Generated, rotation: int, protect: bool) -> pulumi.Output[str]:
        opts = pulumi.ResourceOptions(parent=self, protect=protect and bool(secret.irreplaceable))
        keepers = {"rotation": str(rotation)}
        if generated.hexadecimal:
            # Not RandomId: its value is no secret to the provider and would stand in plain text in the state.
            value = pulumi_random.RandomBytes(secret.name, length=generated.length // 2, keepers=keepers, opts=opts).hex
        else:
            password = pulumi_random.RandomPassword(
                secret.name, length=generated.length, special=False, keepers=keepers, opts=opts
            )
            value = password.result
        return pulumi.Output.secret(pulumi.Output.concat(generated.prefix, value))
