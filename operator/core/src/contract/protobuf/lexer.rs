//! Tokens of a .proto file.

use crate::contract::SchemaError;

/// Most tokens of a file.
const MAX_TOKENS: usize = 100_000;

#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// A name, with dots in it or not; keywords are names.
    Name(String),
    /// An integer. Of a float the text alone is kept, as a name.
    Integer(i64),
    Text(String),
    Symbol(char),
    End,
}

#[derive(Debug, Clone)]
pub struct Token {
    pub kind: Kind,
    pub line: usize,
    pub column: usize,
}

impl Token {
    pub fn wrong(&self, problem: impl Into<String>) -> SchemaError {
        SchemaError::at(format!("line {}, column {}", self.line, self.column), problem)
    }
}

pub fn tokens(text: &str) -> Result<Vec<Token>, SchemaError> {
    let mut lexer = Lexer { chars: text.chars().collect(), at: 0, line: 1, start: 0 };
    let mut tokens = Vec::new();
    loop {
        let token = lexer.next()?;
        let end = token.kind == Kind::End;
        if tokens.len() >= MAX_TOKENS {
            return Err(token.wrong(format!("more than {MAX_TOKENS} words and signs")));
        }
        tokens.push(token);
        if end {
            return Ok(tokens);
        }
    }
}

struct Lexer {
    chars: Vec<char>,
    at: usize,
    line: usize,
    /// Where the line starts.
    start: usize,
}

impl Lexer {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn step(&mut self) -> Option<char> {
        let char = self.peek(0)?;
        self.at += 1;
        if char == '\n' {
            self.line += 1;
            self.start = self.at;
        }
        Some(char)
    }

    fn token(&self, kind: Kind) -> Token {
        Token { kind, line: self.line, column: self.at - self.start + 1 }
    }

    fn next(&mut self) -> Result<Token, SchemaError> {
        self.blanks()?;
        let mut token = self.token(Kind::End);
        token.kind = match self.peek(0) {
            None => Kind::End,
            Some(char) if char.is_ascii_alphabetic() || char == '_' => Kind::Name(self.word()),
            // A name with a dot before it is absolute.
            Some('.') if self.peek(1).is_some_and(|char| char.is_ascii_alphabetic() || char == '_') => Kind::Name(self.word()),
            Some(char) if char.is_ascii_digit() => number(&self.word(), &token)?,
            Some(quote @ ('"' | '\'')) => {
                self.step();
                Kind::Text(self.quoted(quote, &token)?)
            }
            Some(char) if char.is_ascii_punctuation() => {
                self.step();
                Kind::Symbol(char)
            }
            Some(char) => return Err(token.wrong(format!("{char:?} has no meaning here"))),
        };
        Ok(token)
    }

    fn blanks(&mut self) -> Result<(), SchemaError> {
        loop {
            match (self.peek(0), self.peek(1)) {
                (Some(char), _) if char.is_whitespace() || char == '\u{feff}' => {
                    self.step();
                }
                (Some('/'), Some('/')) => while self.step().is_some_and(|char| char != '\n') {},
                (Some('/'), Some('*')) => {
                    let token = self.token(Kind::End);
                    self.at += 2;
                    while (self.peek(0), self.peek(1)) != (Some('*'), Some('/')) {
                        if self.step().is_none() {
                            return Err(token.wrong("a comment without end"));
                        }
                    }
                    self.at += 2;
                }
                _ => return Ok(()),
            }
        }
    }

    fn word(&mut self) -> String {
        let mut word = String::new();
        while let Some(char) = self.peek(0).filter(|char| char.is_ascii_alphanumeric() || *char == '_' || *char == '.') {
            word.push(char);
            self.at += 1;
        }
        word
    }

    fn quoted(&mut self, quote: char, token: &Token) -> Result<String, SchemaError> {
        let mut text = String::new();
        loop {
            match self.step() {
                Some(char) if char == quote => return Ok(text),
                // What escapes stand for does not matter: equal texts are spelled alike.
                Some('\\') => {
                    text.push('\\');
                    text.extend(self.step());
                }
                None | Some('\n') => return Err(token.wrong("a text without end")),
                Some(char) => text.push(char),
            }
        }
    }
}

fn number(word: &str, token: &Token) -> Result<Kind, SchemaError> {
    let digits = |radix, digits| i64::from_str_radix(digits, radix).map(Kind::Integer);
    let lower = word.to_ascii_lowercase();
    let read = match lower.strip_prefix("0x") {
        Some(hex) => digits(16, hex),
        None if lower.len() > 1 && lower.starts_with('0') && lower.chars().all(|char| char.is_ascii_digit()) => digits(8, &lower),
        None if lower.chars().all(|char| char.is_ascii_digit()) => digits(10, &lower),
        // A float, as in a default.
        None => return Ok(Kind::Name(word.to_owned())),
    };
    read.map_err(|_| token.wrong(format!("{word} is no number of 64 bits")))
}
