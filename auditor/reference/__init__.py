"""What is published about ourselves: JSON Schemas, the reference of fields, a page for each rule."""

from auditor.reference.pages import pages
from auditor.reference.schemas import SCHEMAS, cases_schema, config_schema, report_schema, rule_schema

__all__ = ["SCHEMAS", "cases_schema", "config_schema", "pages", "report_schema", "rule_schema"]
