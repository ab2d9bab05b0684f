//! Validation: what the validator found, as field errors with stable codes.

use jsonschema::error::ValidationErrorKind as Found;
use jsonschema::{PatternOptions, ValidationError, Validator};
use serde_json::{Map, Value};
use steward_base::{Error, FieldError};

use super::Kind;

/// More would help nobody and make the answer of a hostile request long.
const MAX_PROBLEMS: usize = 50;

/// Text without U+0000, which PostgreSQL cannot store.
pub const NO_NUL: &str = r"^[^\x00]*$";

/// A schema compiled once and checked many times: patterns run in linear time, formats are asserted, nothing is fetched.
#[derive(Debug)]
pub struct SchemaChecker(Validator);

impl SchemaChecker {
    /// Fails with what is wrong with the schema itself.
    pub fn compile(schema: &Value) -> Result<Self, String> {
        let options = jsonschema::options().with_draft(jsonschema::Draft::Draft202012).with_pattern_options(PatternOptions::regex());
        options.should_validate_formats(true).offline().build(schema).map(Self).map_err(|error| error.to_string())
    }

    /// What is wrong with a value: a stable code and a sentence per field, by pointer; nothing when it is valid.
    pub fn problems(&self, value: &Value) -> Vec<FieldError> {
        let mut problems = Vec::new();
        if !self.0.is_valid(value) {
            self.0.iter_errors(value).for_each(|error| describe(&error, &mut problems));
        }
        sorted(problems)
    }
}

impl Kind {
    /// Checks a body as it is stored against the kind's schema, and answers it with its defaults. Fails with `invalid`.
    pub fn check_stored(&self, body: Map<String, Value>) -> Result<Map<String, Value>, Error> {
        check(&self.stored_check, body)
    }

    /// Checks what a client sent against the input schema.
    pub(super) fn check_input(&self, body: Map<String, Value>) -> Result<Map<String, Value>, Error> {
        check(&self.input_check, body)
    }
}

fn check(checker: &SchemaChecker, body: Map<String, Value>) -> Result<Map<String, Value>, Error> {
    let value = Value::Object(body);
    let problems = checker.problems(&value);
    if !problems.is_empty() {
        return Err(invalid(problems));
    }
    match value {
        Value::Object(body) => Ok(body),
        _ => Err(Error::invalid("An object is expected.")),
    }
}

fn sorted(mut problems: Vec<FieldError>) -> Vec<FieldError> {
    problems.sort_by(|a, b| (&a.pointer, &a.code).cmp(&(&b.pointer, &b.code)));
    problems.dedup_by(|a, b| a.pointer == b.pointer && a.code == b.code);
    problems.truncate(MAX_PROBLEMS);
    problems
}

pub(super) fn invalid(problems: Vec<FieldError>) -> Error {
    let problems = sorted(problems);
    let detail = match problems.len() {
        1 => "One field is not valid; see errors.".to_owned(),
        many => format!("{many} fields are not valid; see errors."),
    };
    problems.into_iter().fold(Error::invalid(detail), |error, problem| error.with_field(problem.pointer, problem.code, problem.detail))
}

/// Values never enter a detail: they may be secret.
fn describe(error: &ValidationError<'_>, problems: &mut Vec<FieldError>) {
    let at = error.instance_path().as_str().to_owned();
    let (code, detail) = match error.kind() {
        Found::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            problems.push(field(below(&at, name), "required", "This field is required.".into()));
            return;
        }
        Found::AdditionalProperties { unexpected } | Found::UnevaluatedProperties { unexpected } => {
            problems.extend(unexpected.iter().map(|name| {
                field(below(&at, name), "unknown_field", "There is no such field: check the spelling or leave it out.".into())
            }));
            return;
        }
        Found::AnyOf { context } | Found::OneOfNotValid { context } => {
            branches(&at, context, problems);
            return;
        }
        Found::Type { kind } => ("type", expected_type(kind)),
        Found::Enum { options } => ("enum", format!("One of these is expected: {}.", list(options))),
        Found::Constant { expected_value } => ("enum", format!("Only {expected_value} is expected here.")),
        Found::MinLength { limit } => ("min_length", format!("At least {limit} characters are expected.")),
        Found::MaxLength { limit } => ("max_length", format!("At most {limit} characters are expected.")),
        Found::Pattern { pattern } if pattern == NO_NUL => ("nul_character", "The character U+0000 cannot be stored.".into()),
        Found::Pattern { pattern } => ("pattern", format!("Text of the form {pattern} is expected.")),
        Found::Format { format } => ("format", format!("A valid {format} is expected.")),
        Found::Minimum { limit } => ("minimum", format!("At least {limit} is expected.")),
        Found::Maximum { limit } => ("maximum", format!("At most {limit} is expected.")),
        Found::ExclusiveMinimum { limit } => ("minimum", format!("More than {limit} is expected.")),
        Found::ExclusiveMaximum { limit } => ("maximum", format!("Less than {limit} is expected.")),
        Found::MultipleOf { multiple_of } => ("multiple_of", format!("A multiple of {multiple_of} is expected.")),
        Found::MinItems { limit } => ("min_items", format!("At least {limit} items are expected.")),
        Found::MaxItems { limit } => ("max_items", format!("At most {limit} items are expected.")),
        Found::AdditionalItems { limit } => ("max_items", format!("At most {limit} items are expected.")),
        Found::UniqueItems => ("unique_items", "Every item may occur only once.".into()),
        Found::MinProperties { limit } => ("min_properties", format!("At least {limit} entries are expected.")),
        Found::MaxProperties { limit } => ("max_properties", format!("At most {limit} entries are expected.")),
        Found::PropertyNames { .. } => ("property_names", "The name of an entry is not valid.".into()),
        Found::OneOfMultipleValid { .. } => ("one_of", "The value matches more than one form.".into()),
        Found::FalseSchema => ("unknown_field", "Nothing is expected here.".into()),
        _ => ("invalid", "The value is not valid.".into()),
    };
    problems.push(field(at, code, detail));
}

/// Of several forms, the problems of the one that came nearest: the one whose own type fits.
fn branches(at: &str, context: &[Vec<ValidationError<'static>>], problems: &mut Vec<FieldError>) {
    let constants: Vec<&Value> = context
        .iter()
        .filter_map(|branch| match branch.first().map(ValidationError::kind) {
            Some(Found::Constant { expected_value }) => Some(&**expected_value),
            _ => None,
        })
        .collect();
    if !constants.is_empty() {
        let named = constants.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        problems.push(field(at.to_owned(), "enum", format!("One of these is expected: {named}.")));
        return;
    }
    let wrong_type = |branch: &&Vec<ValidationError<'static>>| {
        branch.iter().any(|error| matches!(error.kind(), Found::Type { .. }) && error.instance_path().as_str() == at)
    };
    let nearest = context.iter().filter(|branch| !wrong_type(branch)).min_by_key(|branch| branch.len()).or_else(|| context.first());
    match nearest {
        Some(branch) if !branch.is_empty() => branch.iter().for_each(|error| describe(error, problems)),
        _ => problems.push(field(at.to_owned(), "any_of", "The value has none of the forms that are expected.".into())),
    }
}

fn expected_type(kind: &jsonschema::error::TypeKind) -> String {
    use jsonschema::error::TypeKind;
    let names: Vec<String> = match kind {
        TypeKind::Single(one) => vec![one.to_string()],
        TypeKind::Multiple(many) => many.iter().map(|one| one.to_string()).filter(|name| name != "null").collect(),
    };
    format!("A value of type {} is expected.", names.join(" or "))
}

fn list(options: &Value) -> String {
    let named = options.as_array().into_iter().flatten().filter(|option| !option.is_null());
    named.map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

pub(super) fn below(at: &str, name: &str) -> String {
    format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"))
}

fn field(pointer: String, code: &'static str, detail: String) -> FieldError {
    FieldError { pointer, code: code.into(), detail }
}
