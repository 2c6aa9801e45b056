"""Model families: architectures whose fields are read from a configuration, and named configurations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Self

import attrs
import cattrs

from suanli import serialize
from suanli.errors import ModelConfigError, SuanliError
from suanli.models import Block, Model
from suanli.profiles import Known
from suanli.storage import Storage


@attrs.frozen(kw_only=True)
class ModelFamily:
    """An architecture: its fields come from a configuration, its methods arrange operators.

    A field's metadata may carry ``config``, the keys it has in a ``config.json``, first match first;
    a field without is read under its own name.
    ``null`` there says that a null is a value of its own; elsewhere it is as good as a missing key.
    Class attributes name the family and the ``model_type`` values it answers to.

    Attributes:
        defaults: What the modelling code takes where a key is missing, by field; the configuration's own class
            says so.  A null is not a missing key.
        needed: Fields a configuration of its own has to state; a part of a larger one may leave them out too.
        familiar: Keys by which a configuration of an unknown ``model_type`` is taken for one of this family.
        gguf_names: What GGUF files call its architecture, where that is not a ``model_type``, or several families'.
        gguf_needs: Tensors of a layer such a file has to have, where several families share a name.
    """

    family: ClassVar[str] = ""
    model_types: ClassVar[tuple[str, ...]] = ()
    source: ClassVar[str] = ""
    defaults: ClassVar[Mapping[str, Any]] = {}
    needed: ClassVar[tuple[str, ...]] = ("hidden", "layers")
    familiar: ClassVar[tuple[str, ...]] = ()
    gguf_names: ClassVar[tuple[str, ...]] = ()
    gguf_needs: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def prepare(cls, config: Mapping[str, Any]) -> Mapping[str, Any]:
        """The configuration with what its code derives while reading it: nested tables opened, old keys renamed."""
        return config

    @classmethod
    def assumed(cls, config: Mapping[str, Any], *, strange: bool = False) -> dict[str, Any]:
        """Sizes a configuration does not state and its class has a default for, by its own key."""
        config = cls.prepare(config)
        found: dict[str, Any] = {}
        for field in attrs.fields(cls):
            keys = field.metadata.get("config", (field.name,))
            value = None if strange and field.default is not attrs.NOTHING else cls.defaults.get(field.name)
            if isinstance(value, int) and not isinstance(value, bool) and not any(k in config for k in keys):
                found[keys[0]] = value
        return found

    @classmethod
    def from_config(
        cls,
        config: Mapping[str, Any],
        where: str = "config",
        *,
        own_names: bool = False,
        part: bool = False,
        strange: bool = False,
    ) -> Self:
        """An instance from the keys of a ``config.json``; unknown keys are the trainer's business and ignored.

        Args:
            config: The keys and their values.
            where: The file they are from.
            own_names: Whether faults are told with the names of the fields instead of the configuration's keys.
            part: Whether it is a part of a larger configuration, which leaves out what its class has a default for.
            strange: Whether it is of another, unknown type, whose own defaults for what may be left out nobody knows.

        Raises:
            ModelConfigError: Naming every key that is missing or out of range.
        """
        given: dict[str, Any] = {}
        names: dict[str, str] = {}
        assumed: set[str] = set()
        config = cls.prepare(config)
        for field in attrs.fields(cls):
            keys = field.metadata.get("config", (field.name,))
            key = next((k for k in keys if k in config), None)
            names[field.name] = field.name if own_names else key or keys[0]
            if key is not None and (config[key] is not None or field.metadata.get("null", False)):
                given[field.name] = config[key]
            elif field.name in cls.defaults:
                must = (own_names and field.default is attrs.NOTHING) or (field.name in cls.needed and not part)
                if not must and not (strange and field.default is not attrs.NOTHING):
                    given[field.name] = cls.defaults[field.name]
                    assumed.add(field.name)
        faults = []
        try:
            made = _converter().structure(given, cls)
        except Exception as exc:
            faults = serialize.explain_faults(exc, cls)
            raise ModelConfigError([_renamed(f, names) for f in faults], where) from None
        faults = [
            f"{f} (not stated: the default of its class)" if f.partition(":")[0] in assumed else f for f in made.check()
        ]
        if faults:
            raise ModelConfigError([_renamed(f, names) for f in faults], where)
        return made

    def check(self) -> Iterable[str]:
        """What is wrong with the fields together, each as ``"field: what is wrong"``."""
        return ()

    def embedding(self) -> Block:
        """The block before the layers."""
        raise SuanliError(f"family {self.family!r} does not define embedding")

    def decoder(self, layer: int) -> Block:
        """The block of one layer."""
        raise SuanliError(f"family {self.family!r} does not define decoder")

    def head(self) -> Block:
        """The block after the layers."""
        raise SuanliError(f"family {self.family!r} does not define head")

    def drafts(self) -> tuple[Block, ...]:
        """Blocks that predict tokens further ahead; counted apart."""
        return ()

    def depth(self) -> int:
        """How many layers there are."""
        raise SuanliError(f"family {self.family!r} does not define depth")

    def context(self) -> int | None:
        """The longest sequence it was made for, where stated."""
        return None

    def _layers(self) -> tuple[Block, ...]:
        """The layers; those of the same operators are one block."""
        same: dict[tuple[int, ...], Block] = {}
        made = (self.decoder(i) for i in range(self.depth()))
        return tuple(same.setdefault(tuple(id(op) for op in block.operators), block) for block in made)

    def model(
        self,
        name: str,
        *,
        source: str = "",
        notes: tuple[str, ...] = (),
        known: Known | None = None,
        storage: Storage | None = None,
        nearest: bool = False,
    ) -> Model:
        """The model the fields describe."""
        drafts = self.drafts()
        if drafts:
            count = sum(p.elements for block in drafts for p in block.parameters)
            many = "a multi-token prediction module" if len(drafts) == 1 else f"{len(drafts)} multi-token modules"
            notes = (*notes, f"{count:,} parameters more in {many}, in no other count")
        return Model(
            name=name,
            family=self.family,
            embedding=self.embedding(),
            layers=self._layers(),
            head=self.head(),
            context=self.context(),
            drafts=drafts,
            storage=storage,
            nearest=nearest,
            notes=notes,
            source=source or self.source,
            known=known or Known(),
        )


_CONVERTERS: list[cattrs.Converter] = []


def _converter() -> cattrs.Converter:
    if not _CONVERTERS:
        _CONVERTERS.append(serialize.make_converter())
    return _CONVERTERS[0]


def _renamed(fault: str, names: Mapping[str, str]) -> str:
    """A fault told with the configuration's own keys."""
    head, colon, tail = fault.partition(": ")
    field, bracket, index = head.partition("[")
    if colon and field in names:
        return f"{names[field]}{bracket}{index}: {tail}"
    for field, key in names.items():
        fault = fault.replace(f"'{field}'", f"'{key}'")
    return fault


@attrs.frozen(kw_only=True)
class ModelPreset:
    """A named configuration.

    Attributes:
        name: Such as ``"llama-65b"``.
        aliases: Other names people type.
        config: As its ``config.json`` has it.
        nulls: Keys that are null there, which TOML cannot say and which a missing key is not.
        source: Where it is published.
    """

    name: str
    aliases: tuple[str, ...] = ()
    config: Mapping[str, Any] = attrs.field(eq=False)
    nulls: tuple[str, ...] = ()
    source: str
