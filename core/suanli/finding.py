"""From a name, a table, a configuration file, a folder or a GGUF file to a model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from suanli import data_files, gguf, gguf_configs, safetensors
from suanli.catalogs import Catalog
from suanli.errors import ModelConfigError, SuanliError, clip, show
from suanli.families import ModelPreset
from suanli.models import Model
from suanli.storage import read_storage


def find_model(catalog: Catalog, asked: Any, cache: dict[str, Model] | None = None) -> Model:
    """A model by catalog name, by configuration, or by path of a configuration file or its folder.

    Raises:
        UnknownNameError: With near matches.
        ModelConfigError: With the path of every offending key.
    """
    if isinstance(asked, Model):
        return asked
    if isinstance(asked, Mapping):
        return _built(catalog, asked, str(asked.get("_name_or_path") or asked.get("name") or "model"), "config")
    if isinstance(asked, Path) or (isinstance(asked, str) and _is_path(asked)):
        path = Path(asked)
        if path.suffix.lower() == ".gguf":
            return _from_gguf(catalog, path)
        try:
            file = path / "config.json" if path.is_dir() else path
        except (OSError, ValueError) as exc:
            raise ModelConfigError([f"cannot read {clip(str(path), 200)}: {exc}"]) from None
        config = data_files.read_data(file, ModelConfigError)
        name = file.parent.name if file.name == "config.json" and file.parent.name else file.stem
        made = _built(catalog, config, name, clip(str(file), 200))
        return safetensors.read_folder(made, file.parent) if file != path else made
    if not isinstance(asked, str):
        raise SuanliError(f"a model is a name, a path or a config table; got {show(asked)}")
    entry = catalog.entry("model", asked)
    if cache is not None and entry.name in cache:
        return cache[entry.name]
    preset: ModelPreset = entry.value
    config = {**dict.fromkeys(preset.nulls), **preset.config}
    made = _built(catalog, config, preset.name, preset.name, preset.source)
    if cache is not None:
        cache[entry.name] = made
    return made


def config_of(catalog: Catalog, asked: str) -> Mapping[str, Any]:
    """The configuration behind a name, or in a file or folder, as a table.

    Raises:
        UnknownNameError: With near matches.
        ModelConfigError: Where the file cannot be read, or is not a configuration.
    """
    if not _is_path(asked):
        preset: ModelPreset = catalog.entry("model", asked).value
        return {**dict.fromkeys(preset.nulls), **preset.config}
    path = Path(asked)
    if path.suffix.lower() == ".gguf":
        raise ModelConfigError(["a GGUF file has no configuration; give the model's config.json"], clip(asked, 200))
    return data_files.read_data(path / "config.json" if path.is_dir() else path, ModelConfigError)


def _from_gguf(catalog: Catalog, path: Path) -> Model:
    """The model of a GGUF file: sizes from its keys, the rest from its list of tensors."""
    header, where = gguf.read_header(path), clip(str(path), 200)
    architecture, config = gguf_configs.config_of(header, where)
    family = gguf_configs.family_of(catalog, architecture, header)
    notes = []
    if family is None:
        family = catalog.nearest_family(config)
        notes = [f"model_type {show(architecture)} of a GGUF file is not known; taken as its nearest family"]
        if family is None:
            raise ModelConfigError([f"general.architecture: {show(architecture)} is not known"], where)
    made = family.from_config(config, where, part=True, strange=bool(notes))
    stored = gguf_configs.storage_of(header)
    model = made.model(clip(path.stem), notes=tuple(notes), known=catalog.known, storage=stored, nearest=bool(notes))
    part = gguf.PART.search(path.name)
    return gguf_configs.with_files(model, header, int(part.group(2)) if part else 1, stored)


def _is_path(text: str) -> bool:
    return "/" in text or "\\" in text or text.lower().endswith((".json", ".gguf"))


TEXT_PARTS = ("text_config", "llm_config", "language_config", "thinker_config")
"""Where the configuration of a model of several modalities keeps that of its language model."""
INHERITED = ("tie_word_embeddings", "quantization_config", "compression_config")
"""Keys a language model takes from the configuration around it."""


def _built(catalog: Catalog, config: Mapping[str, Any], name: str, where: str, source: str = "") -> Model:
    """The model of a configuration, of whatever family answers its ``model_type`` or is nearest to it."""
    own, part = _text_part(config)
    kinds = [k for k in (own.get("model_type"), config.get("model_type")) if isinstance(k, str)]
    family = next((f for f in map(catalog.family_of, kinds) if f is not None), None)
    notes: list[str] = ["the language model only; encoders of other modalities are left out"] if part else []
    strange = family is None
    if family is None:
        family = catalog.nearest_family(own)
        if family is None:
            known = ", ".join(sorted({t for e in catalog.entries("model family") for t in e.value.model_types}))
            said = f"{show(kinds[0])} is not known" if kinds else "required, a string"
            raise ModelConfigError([f"model_type: {said}, {_missing(catalog, own)}; known: {known}"], where)
        kind = show(kinds[0]) if kinds else "none"
        notes.append(
            f"model_type {kind} is not known; taken as {family.family!r}, whose keys it has: "
            "biases, norms and caches may differ"
        )
    assumed = family.assumed(own, strange=strange)
    if assumed:
        stated = ", ".join(f"{k} {v}" for k, v in assumed.items())
        notes.append(f"not stated, taken as the configuration class's own default: {stated}")
    made = family.from_config(own, where, part=part, strange=strange)
    storage, unread = read_storage(own)
    if unread:
        notes.append(unread)
    return made.model(
        clip(name), source=source, notes=tuple(notes), known=catalog.known, storage=storage, nearest=strange
    )


def _text_part(config: Mapping[str, Any]) -> tuple[Mapping[str, Any], bool]:
    """The configuration of the language model, and whether it is a part of a larger one."""
    for key in TEXT_PARTS:
        inner = config.get(key)
        if isinstance(inner, Mapping):
            deeper, _ = _text_part(inner)
            return {k: config[k] for k in INHERITED if k in config} | dict(deeper), True
    return config, False


def _missing(catalog: Catalog, config: Mapping[str, Any]) -> str:
    """What a configuration lacks to be taken for the family it is nearest to."""
    wanted = [f.familiar for f in catalog.familiar_families()]
    if not wanted:
        return "and no family takes unknown ones"
    nearest = min(wanted, key=lambda keys: (sum(k not in config for k in keys), -len(keys)))
    lacking = ", ".join(k for k in nearest if k not in config)
    return f"and to be read without it the configuration lacks: {lacking}"
