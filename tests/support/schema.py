#!/usr/bin/env python3
"""Hold JSON documents against a JSON Schema (2020-12), as far as conf/report.schema.json uses it.

    schema.py SCHEMA DOCUMENT ...     "-": standard input

A keyword that is not known here ends the check with an error, so that nothing passes unread. Prints the place of each
mistake; exit 1 when there is one.
"""
import json
import re
import sys

TYPES = {
    "object": lambda v: isinstance(v, dict),
    "array": lambda v: isinstance(v, list),
    "string": lambda v: isinstance(v, str),
    "boolean": lambda v: isinstance(v, bool),
    "integer": lambda v: isinstance(v, int) and not isinstance(v, bool),
    "null": lambda v: v is None,
}
WORDS = {"$schema", "$id", "title", "description", "$defs", "$ref", "type", "enum", "const", "pattern", "oneOf",
         "properties", "required", "additionalProperties", "items"}


def mistakes(schema, value, root, place):
    unknown = set(schema) - WORDS
    if unknown:
        sys.exit(f"schema: {place}: keywords that are not checked here: {sorted(unknown)}")
    if "$ref" in schema:
        name = schema["$ref"].removeprefix("#/$defs/")
        yield from mistakes(root["$defs"][name], value, root, place)
    if "type" in schema:
        types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        if not any(TYPES[t](value) for t in types):
            yield f"{place}: {json.dumps(value)[:60]} is no {' or '.join(types)}"
            return
    if "const" in schema and value != schema["const"]:
        yield f"{place}: {value!r} is not {schema['const']!r}"
    if "enum" in schema and value not in schema["enum"]:
        yield f"{place}: {value!r} is none of {schema['enum']}"
    if "pattern" in schema and isinstance(value, str) and not re.search(schema["pattern"], value):
        yield f"{place}: {value!r} does not look like {schema['pattern']}"
    if "oneOf" in schema:
        tried = [list(mistakes(one, value, root, place)) for one in schema["oneOf"]]
        fits = sum(not found for found in tried)
        if fits > 1:
            yield f"{place}: more than one form fits"
        elif fits == 0:
            yield from min(tried, key=len)
    if isinstance(value, dict):
        yield from object_mistakes(schema, value, root, place)
    if isinstance(value, list) and "items" in schema:
        for i, one in enumerate(value):
            yield from mistakes(schema["items"], one, root, f"{place}[{i}]")


def object_mistakes(schema, value, root, place):
    known = schema.get("properties", {})
    for key in schema.get("required", []):
        if key not in value:
            yield f"{place}: '{key}' is missing"
    for key, one in value.items():
        if key in known:
            yield from mistakes(known[key], one, root, f"{place}.{key}")
        elif schema.get("additionalProperties") is False:
            yield f"{place}: '{key}' is not in the schema"


def main():
    with open(sys.argv[1], encoding="utf-8") as f:
        schema = json.load(f)
    bad = False
    for name in sys.argv[2:]:
        with sys.stdin if name == "-" else open(name, encoding="utf-8") as f:
            document = json.load(f)
        for line in mistakes(schema, document, schema, "report"):
            print(f"{name}: {line}")
            bad = True
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
