//! Tree to text that parses back to an equal tree. A part that joins others stands in parentheses, whatever the precedence.

use std::fmt::{self, Display, Formatter, Write as _};

use super::literal::{KEYWORDS, of_bare};
use super::{Compare, Expr, FieldPath, Literal, Op};

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Expr::And(parts) => join(f, parts, " AND "),
            Expr::Or(parts) if parts.is_empty() => f.write_str("NOT ()"),
            Expr::Or(parts) => join(f, parts, " OR "),
            Expr::Not(part) => {
                f.write_str("NOT ")?;
                operand(f, part)
            }
            Expr::Compare(compare) => compare.fmt(f),
            Expr::Word(word) => text(f, word, is_plain_word(word)),
        }
    }
}

fn join(f: &mut Formatter<'_>, parts: &[Expr], between: &str) -> fmt::Result {
    if let [only] = parts {
        return only.fmt(f);
    }
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            f.write_str(between)?;
        }
        operand(f, part)?;
    }
    Ok(())
}

fn operand(f: &mut Formatter<'_>, part: &Expr) -> fmt::Result {
    match part {
        Expr::And(parts) | Expr::Or(parts) if parts.len() == 1 => operand(f, &parts[0]),
        Expr::And(_) | Expr::Or(_) => write!(f, "({part})"),
        _ => part.fmt(f),
    }
}

impl Display for Compare {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.op {
            Op::Has => write!(f, "{}:{}", self.field, self.value),
            op => write!(f, "{} {} {}", self.field, op.as_str(), self.value),
        }
    }
}

impl Display for FieldPath {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (index, segment) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_char('.')?;
            }
            text(f, segment, is_plain(segment, "_-/@") && !KEYWORDS.contains(&segment.as_str()))?;
        }
        Ok(())
    }
}

impl Display for Literal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Literal::Null => f.write_str("null"),
            Literal::Bool(value) => value.fmt(f),
            Literal::Int(value) => value.fmt(f),
            Literal::Float(value) => write!(f, "{value:?}"),
            Literal::Time(value) => value.fmt(f),
            Literal::Star => f.write_char('*'),
            Literal::Text(value) => text(f, value, is_plain_value(value)),
        }
    }
}

fn is_plain_word(word: &str) -> bool {
    is_plain(word, "_-./+@") && !KEYWORDS.iter().any(|keyword| keyword.eq_ignore_ascii_case(word))
}

fn is_plain_value(word: &str) -> bool {
    is_plain(word, "_-./+@:") && !KEYWORDS.contains(&word) && matches!(of_bare(word), Literal::Text(_))
}

fn is_plain(word: &str, marks: &str) -> bool {
    word.starts_with(|c: char| c.is_alphanumeric() || c == '_') && word.chars().all(|c| c.is_alphanumeric() || marks.contains(c))
}

fn text(f: &mut Formatter<'_>, text: &str, plain: bool) -> fmt::Result {
    if plain {
        return f.write_str(text);
    }
    f.write_char('"')?;
    for c in text.chars() {
        match c {
            '"' | '\\' => write!(f, "\\{c}")?,
            '\n' => f.write_str("\\n")?,
            '\r' => f.write_str("\\r")?,
            '\t' => f.write_str("\\t")?,
            c if c.is_control() => write!(f, "\\u{{{:x}}}", u32::from(c))?,
            c => f.write_char(c)?,
        }
    }
    f.write_char('"')
}
