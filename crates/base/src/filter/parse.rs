//! Text to tree. The grammar is in the module's documentation; terms and values have different alphabets, so one pass reads both.

use super::literal::{KEYWORDS, of_bare};
use super::{Compare, Expr, FieldPath, Literal, Op, refused};
use crate::{Error, Result};

/// The longest filter, in bytes.
pub const MAX_LENGTH: usize = 4096;
/// The deepest nesting of parentheses and negations.
pub const MAX_DEPTH: usize = 32;
/// The longest field path.
pub const MAX_SEGMENTS: usize = 32;

/// Reads a filter; blank text is [`Expr::everything`]. Fails with `filter_syntax` at a 1-based column counted in characters.
pub fn parse(text: &str) -> Result<Expr> {
    if text.len() > MAX_LENGTH {
        let column = text.char_indices().take_while(|(at, _)| *at < MAX_LENGTH).count() + 1;
        let detail = format!("A filter has at most {MAX_LENGTH} bytes; this one has {}.", text.len());
        return Err(refused("filter_syntax", column, &detail));
    }
    let mut parser = Parser { text, at: 0, depth: 0 };
    let expr = parser.conjunction()?;
    match parser.peek() {
        None => Ok(expr),
        Some(_) => Err(parser.error(parser.at, "This parenthesis closes nothing.")),
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    /// `part [AND] part …` up to the end or a closing parenthesis.
    fn conjunction(&mut self) -> Result<Expr> {
        let mut parts = Vec::new();
        let mut owed = None;
        loop {
            self.skip_blank();
            let start = self.at;
            if matches!(self.peek(), None | Some(')')) {
                break;
            }
            if self.keyword("AND") {
                if parts.is_empty() || owed.is_some() {
                    return Err(self.error(start, "AND needs a term on its left."));
                }
                owed = Some(start);
                continue;
            }
            parts.push(self.disjunction()?);
            owed = None;
        }
        match (owed, parts.len()) {
            (Some(start), _) => Err(self.error(start, "AND needs a term on its right.")),
            (None, 1) => Ok(parts.remove(0)),
            (None, _) => Ok(Expr::And(parts)),
        }
    }

    /// `term OR term …`
    fn disjunction(&mut self) -> Result<Expr> {
        let mut parts = vec![self.term()?];
        loop {
            let after = self.at;
            self.skip_blank();
            if !self.keyword("OR") {
                self.at = after;
                return Ok(if parts.len() == 1 { parts.remove(0) } else { Expr::Or(parts) });
            }
            self.skip_blank();
            parts.push(self.term()?);
        }
    }

    /// `NOT term`, `-term`, `( … )`, a comparison or a word.
    fn term(&mut self) -> Result<Expr> {
        let start = self.at;
        if self.keyword("NOT") {
            self.skip_blank();
            return self.deeper(start, |parser| Ok(Expr::Not(Box::new(parser.term()?))));
        }
        match self.peek() {
            Some('-') => {
                self.at += 1;
                self.deeper(start, |parser| Ok(Expr::Not(Box::new(parser.term()?))))
            }
            Some('(') => {
                self.at += 1;
                self.deeper(start, |parser| {
                    let inner = parser.conjunction()?;
                    if parser.peek() != Some(')') {
                        return Err(parser.error(start, "This parenthesis is never closed."));
                    }
                    parser.at += 1;
                    Ok(inner)
                })
            }
            _ if self.keyword("AND") || self.keyword("OR") => Err(self.error(start, "A term is expected before this word.")),
            None | Some(')') => Err(self.error(start, "A term is expected here.")),
            Some(_) => self.comparison_or_word(start),
        }
    }

    fn comparison_or_word(&mut self, start: usize) -> Result<Expr> {
        let (path, quoted) = self.path()?;
        let end = self.at;
        self.skip_blank();
        let Some(op) = self.operator()? else {
            self.at = end;
            return self.word(start, path, &quoted);
        };
        if path.len() > MAX_SEGMENTS {
            return Err(self.error(start, &format!("A field has at most {MAX_SEGMENTS} segments.")));
        }
        if path.iter().zip(&quoted).any(|(segment, quoted)| segment.is_empty() && !quoted) {
            return Err(self.error(start, "A field name is expected here: segments joined by single dots."));
        }
        self.skip_blank();
        let value = self.value(op)?;
        let column = self.column(start);
        Ok(Expr::Compare(Compare { field: FieldPath(path), op, value, column }))
    }

    /// A term without an operator: quoted text, or a word as it stands.
    fn word(&mut self, start: usize, mut path: Vec<String>, quoted: &[bool]) -> Result<Expr> {
        let raw = &self.text[start..self.at];
        match quoted {
            [true] => return self.ended().map(|()| Expr::Word(path.remove(0))),
            _ if quoted.contains(&true) => return Err(self.error(self.at, "An operator is expected after this field: = != < <= > >= or :")),
            _ => {}
        }
        if raw.is_empty() {
            return Err(self.error(start, "A field or a word is expected here."));
        }
        if let Some(keyword) = KEYWORDS.into_iter().find(|keyword| keyword.eq_ignore_ascii_case(raw)) {
            let detail = format!("Write {keyword} in capitals to join terms, or \"{raw}\" in quotes to look for the word.");
            return Err(self.error(start, &detail));
        }
        if raw.contains('*') {
            return Err(self.error(start, "A * stands only for any value, as in field:*; put the word in quotes to mean the character."));
        }
        if self.peek() == Some('(') {
            return Err(self.error(self.at, "There are no functions; put a blank before the parenthesis."));
        }
        self.ended()?;
        Ok(Expr::Word(raw.to_owned()))
    }

    /// Segments joined by dots, and which of them were quoted. Unquoted ones may be empty here: `...` is a word.
    fn path(&mut self) -> Result<(Vec<String>, Vec<bool>)> {
        let (mut path, mut quoted) = (Vec::new(), Vec::new());
        loop {
            if let Some(quote @ ('"' | '\'')) = self.peek() {
                path.push(self.quoted(quote)?);
                quoted.push(true);
            } else {
                path.push(self.take(|c| !ends_term(c) && c != '.').to_owned());
                quoted.push(false);
            }
            if self.peek() != Some('.') {
                return Ok((path, quoted));
            }
            self.at += 1;
        }
    }

    fn operator(&mut self) -> Result<Option<Op>> {
        const WRITTEN: [(&str, Op); 7] =
            [("!=", Op::Ne), ("<=", Op::Le), (">=", Op::Ge), ("=", Op::Eq), ("<", Op::Lt), (">", Op::Gt), (":", Op::Has)];
        for (written, op) in WRITTEN {
            if self.text[self.at..].starts_with(written) {
                self.at += written.len();
                return Ok(Some(op));
            }
        }
        match self.peek() {
            Some('!') => Err(self.error(self.at, "Write != for \"is not\", and NOT or - before a term to negate it.")),
            _ => Ok(None),
        }
    }

    fn value(&mut self, op: Op) -> Result<Literal> {
        let start = self.at;
        if let Some(quote @ ('"' | '\'')) = self.peek() {
            let text = self.quoted(quote)?;
            return self.ended().map(|()| Literal::Text(text));
        }
        let word = self.take(|c| !ends_value(c));
        if word.is_empty() {
            let detail = match self.peek() {
                Some('(') => "One value is expected here; repeat the field to compare it with several.".to_owned(),
                _ => format!("A value is expected after {}.", op.as_str()),
            };
            return Err(self.error(start, &detail));
        }
        if KEYWORDS.contains(&word) {
            return Err(self.error(start, &format!("A value is expected before {word}; put the word in quotes to mean it as one.")));
        }
        if word != "*" && word.contains('*') {
            return Err(self.error(start, "A * stands only for any value, as in field:*; put the value in quotes to mean the character."));
        }
        self.ended()?;
        Ok(of_bare(word))
    }

    /// Text in quotes, with its escapes.
    fn quoted(&mut self, quote: char) -> Result<String> {
        let start = self.at;
        self.at += 1;
        let mut text = String::new();
        while let Some(c) = self.peek() {
            let at = self.at;
            self.at += c.len_utf8();
            match c {
                '\\' => text.push(self.escaped(at)?),
                c if c == quote => return Ok(text),
                c => text.push(c),
            }
        }
        Err(self.error(start, "This quote is never closed."))
    }

    fn escaped(&mut self, start: usize) -> Result<char> {
        let escape = self.peek();
        self.at += escape.map_or(0, char::len_utf8);
        let unknown = "An escape is one of \\\" \\' \\\\ \\n \\r \\t or \\u{…} with the character's number in hexadecimal.";
        match escape {
            Some(c @ ('"' | '\'' | '\\')) => Ok(c),
            Some('n') => Ok('\n'),
            Some('r') => Ok('\r'),
            Some('t') => Ok('\t'),
            Some('u') => {
                let digits = self.text[self.at..].strip_prefix('{').and_then(|rest| rest.split_once('}')).map(|(digits, _)| digits);
                let digits = digits.filter(|digits| digits.len() <= 6 && digits.bytes().all(|b| b.is_ascii_hexdigit()));
                let c = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()).and_then(char::from_u32);
                self.at += digits.map_or(0, |digits| digits.len() + 2);
                c.ok_or_else(|| self.error(start, unknown))
            }
            _ => Err(self.error(start, unknown)),
        }
    }

    /// Requires that a value or word is not glued to what follows.
    fn ended(&self) -> Result<()> {
        match self.peek() {
            None | Some(')') => Ok(()),
            Some(c) if c.is_whitespace() => Ok(()),
            Some(_) => Err(self.error(self.at, "A blank is expected here; put a value with special characters in quotes.")),
        }
    }

    fn deeper(&mut self, start: usize, read: impl FnOnce(&mut Self) -> Result<Expr>) -> Result<Expr> {
        if self.depth == MAX_DEPTH {
            return Err(self.error(start, &format!("A filter nests at most {MAX_DEPTH} levels deep.")));
        }
        self.depth += 1;
        let expr = read(self);
        self.depth -= 1;
        expr
    }

    /// Takes `word` when it stands alone here.
    fn keyword(&mut self, word: &str) -> bool {
        let Some(rest) = self.text[self.at..].strip_prefix(word) else { return false };
        let alone = rest.chars().next().is_none_or(|c| c.is_whitespace() || matches!(c, '(' | ')' | '"' | '\''));
        if alone {
            self.at += word.len();
        }
        alone
    }

    fn take(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let rest = &self.text[self.at..];
        let taken = &rest[..rest.find(|c| !wanted(c)).unwrap_or(rest.len())];
        self.at += taken.len();
        taken
    }

    fn skip_blank(&mut self) {
        self.take(char::is_whitespace);
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn column(&self, at: usize) -> usize {
        self.text[..at].chars().count() + 1
    }

    fn error(&self, at: usize, detail: &str) -> Error {
        refused("filter_syntax", self.column(at), detail)
    }
}

fn ends_term(c: char) -> bool {
    ends_value(c) || c == ':'
}

fn ends_value(c: char) -> bool {
    c.is_whitespace() || matches!(c, '(' | ')' | '"' | '=' | '<' | '>' | '!')
}
