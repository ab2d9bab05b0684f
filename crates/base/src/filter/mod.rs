//! The filter grammar: one text form in the console, REST, the command line, alerts and permissions.

mod ast;

pub use ast::{Compare, Expr, FieldPath, Literal, Op};
