//! Protobuf's text format, as far as configurations use it: fields with numbers, words, texts, messages and lists of them.
//! The language: <https://protobuf.dev/reference/protobuf/textformat-spec/>.

/// The most bytes of a text.
const MAX_BYTES: usize = 1 << 20;
/// How deep messages may be nested.
const MAX_DEPTH: usize = 32;
/// The most fields of a text.
const MAX_FIELDS: usize = 1 << 16;

/// A message: its fields, in the order in which they are written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Message(pub Vec<Field>);

/// One field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// What it says.
    pub value: Value,
    /// The line it begins in, from 1.
    pub line: usize,
}

/// What a field says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A number or a word, as it is written.
    Word(String),
    /// A quoted text.
    Text(String),
    /// A message.
    Message(Message),
}

impl Message {
    /// Reads a whole text.
    ///
    /// # Errors
    /// The line, what was met, what was expected.
    pub fn read(text: &str) -> Result<Self, String> {
        if text.len() > MAX_BYTES {
            return Err(format!("it has {} bytes, expected {MAX_BYTES} at most", text.len()));
        }
        let mut reader = Reader { text, at: 0, line: 1, fields: 0 };
        let mut fields = Vec::new();
        reader.fields_until(None, 0, &mut fields)?;
        Ok(Self(fields))
    }
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    line: usize,
    fields: usize,
}

impl<'t> Reader<'t> {
    /// Reads fields until a bracket that closes, or the end.
    fn fields_until(
        &mut self,
        close: Option<char>,
        depth: usize,
        out: &mut Vec<Field>,
    ) -> Result<(), String> {
        if depth > MAX_DEPTH {
            return Err(self.wrong(&format!("messages are nested deeper than {MAX_DEPTH}")));
        }
        loop {
            match (self.next(), close) {
                (None, None) => return Ok(()),
                (None, Some(close)) => return Err(self.wrong(&format!("the text ends, expected `{close}`"))),
                (Some(met), Some(close)) if met == close => {
                    self.take();
                    return Ok(());
                }
                (Some(_), _) => self.field(depth, out)?,
            }
            if matches!(self.next(), Some(',' | ';')) {
                self.take();
            }
        }
    }

    fn field(&mut self, depth: usize, out: &mut Vec<Field>) -> Result<(), String> {
        let line = self.line;
        let name = self.word();
        if name.is_empty() {
            return Err(self.unexpected("the name of a field"));
        }
        let colon = self.next() == Some(':');
        if colon {
            self.take();
        }
        if self.next() == Some('[') && colon {
            self.take();
            return self.list(name, line, depth, out);
        }
        let value = self.value(colon, depth)?;
        self.push(out, Field { name: name.to_owned(), value, line })
    }

    /// Reads a list, which is a field written once for each of its elements.
    fn list(&mut self, name: &str, line: usize, depth: usize, out: &mut Vec<Field>) -> Result<(), String> {
        if self.next() == Some(']') {
            self.take();
            return Ok(());
        }
        loop {
            let value = self.value(true, depth)?;
            self.push(out, Field { name: name.to_owned(), value, line })?;
            match self.next() {
                Some(',') => self.take(),
                Some(']') => {
                    self.take();
                    return Ok(());
                }
                Some(_) | None => return Err(self.unexpected("`,` or `]`")),
            }
        }
    }

    fn push(&mut self, out: &mut Vec<Field>, field: Field) -> Result<(), String> {
        self.fields += 1;
        if self.fields > MAX_FIELDS {
            return Err(self.wrong(&format!("it has more than {MAX_FIELDS} fields")));
        }
        out.push(field);
        Ok(())
    }

    fn value(&mut self, colon: bool, depth: usize) -> Result<Value, String> {
        match self.next() {
            Some(open @ ('{' | '<')) => {
                self.take();
                let mut fields = Vec::new();
                self.fields_until(Some(if open == '{' { '}' } else { '>' }), depth + 1, &mut fields)?;
                Ok(Value::Message(Message(fields)))
            }
            Some('"' | '\'') if colon => {
                // Texts behind one another are one.
                let mut bytes = Vec::new();
                while let Some(quote @ ('"' | '\'')) = self.next() {
                    self.quoted(quote, &mut bytes)?;
                }
                let text = String::from_utf8(bytes);
                text.map(Value::Text).map_err(|_| self.wrong("a text is not UTF-8"))
            }
            Some(_) if colon => {
                let word = self.number_or_word();
                if word.is_empty() {
                    Err(self.unexpected("a value"))
                } else {
                    Ok(Value::Word(word.to_owned()))
                }
            }
            Some(_) | None => Err(self.unexpected("`:` or `{`")),
        }
    }

    fn quoted(&mut self, quote: char, out: &mut Vec<u8>) -> Result<(), String> {
        self.take();
        loop {
            let Some(met) = self.text[self.at..].chars().next() else {
                return Err(self.wrong("the text ends within quotes"));
            };
            self.at += met.len_utf8();
            match met {
                '\n' => return Err(self.wrong("a line ends within quotes")),
                '\\' => out.push(self.escaped()?),
                _ if met == quote => return Ok(()),
                _ => out.extend_from_slice(met.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
    }

    /// Reads what stands after a backslash.
    fn escaped(&mut self) -> Result<u8, String> {
        let rest = &self.text.as_bytes()[self.at..];
        let digits = |from: usize, most: usize, radix: u32| -> usize {
            let is_digit = |it: &&u8| char::from(**it).is_digit(radix);
            rest.iter().skip(from).take(most).take_while(is_digit).count()
        };
        let (byte, length) = match rest.first() {
            Some(b'n') => (b'\n', 1),
            Some(b't') => (b'\t', 1),
            Some(b'r') => (b'\r', 1),
            Some(&byte @ (b'\\' | b'\'' | b'"' | b'?')) => (byte, 1),
            Some(b'x' | b'X') if digits(1, 2, 16) > 0 => {
                let length = 1 + digits(1, 2, 16);
                (self.coded(1, length, 16)?, length)
            }
            Some(b'0'..=b'7') => {
                let length = digits(0, 3, 8);
                (self.coded(0, length, 8)?, length)
            }
            Some(_) | None => {
                return Err(self.wrong("a backslash stands before no escape that is known"));
            }
        };
        self.at += length;
        Ok(byte)
    }

    fn coded(&self, from: usize, to: usize, radix: u32) -> Result<u8, String> {
        let text = self.text.get(self.at + from..self.at + to).unwrap_or_default();
        u8::from_str_radix(text, radix).map_err(|_| self.wrong(&format!("`{text}` is no byte")))
    }

    /// A name, or a word.
    fn word(&mut self) -> &'t str {
        self.while_is(|it| it.is_ascii_alphanumeric() || it == '_')
    }

    fn number_or_word(&mut self) -> &'t str {
        self.while_is(|it| it.is_ascii_alphanumeric() || matches!(it, '_' | '.' | '+' | '-'))
    }

    fn while_is(&mut self, is: impl Fn(char) -> bool) -> &'t str {
        self.next();
        let rest = &self.text[self.at..];
        let word = &rest[..rest.find(|it| !is(it)).unwrap_or(rest.len())];
        self.at += word.len();
        word
    }

    /// The next character that is no white space and in no comment.
    fn next(&mut self) -> Option<char> {
        loop {
            let rest = &self.text[self.at..];
            let met = rest.chars().next()?;
            if met == '#' {
                self.at += rest.find('\n').unwrap_or(rest.len());
            } else if met.is_whitespace() {
                self.line += usize::from(met == '\n');
                self.at += met.len_utf8();
            } else {
                return Some(met);
            }
        }
    }

    /// Passes the character that [`Reader::next`] has shown.
    fn take(&mut self) {
        self.at += self.text[self.at..].chars().next().map_or(0, char::len_utf8);
    }

    fn unexpected(&mut self, wanted: &str) -> String {
        let met =
            self.next().map_or("the end of the text".to_owned(), |it| format!("`{}`", it.escape_default()));
        self.wrong(&format!("met {met}, expected {wanted}"))
    }

    fn wrong(&self, what: &str) -> String {
        format!("line {}: {what}", self.line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_in_every_way_to_write_them() {
        let text =
            "a: 1 b: 'x\\n\\x41\\101' \"y\", c { d: -2.5e3; e < f: true > } # g: 1\ng: [1, 2] h: {} i: []";
        let read = Message::read(text).unwrap();
        let shown: Vec<_> =
            read.0.iter().map(|it| format!("{}={:?}@{}", it.name, it.value, it.line)).collect();
        assert_eq!(shown[0], "a=Word(\"1\")@1");
        assert_eq!(shown[1], "b=Text(\"x\\nAAy\")@1");
        assert!(shown[2].contains("Word(\"-2.5e3\")") && shown[2].contains("Word(\"true\")"), "{}", shown[2]);
        assert_eq!(shown[3..5], ["g=Word(\"1\")@2", "g=Word(\"2\")@2"]);
        assert_eq!(shown[5..], ["h=Message(Message([]))@2"]);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let table = [
            ("a", "line 1: met the end of the text, expected `:` or `{`"),
            ("a {\n b: 1", "line 2: the text ends, expected `}`"),
            ("a: 'x", "line 1: the text ends within quotes"),
            ("\n}", "line 2: met `}`, expected the name of a field"),
            ("a: \"\\q\"", "line 1: a backslash stands before no escape that is known"),
            ("a: \"\\777\"", "line 1: `777` is no byte"),
            ("a: [1 2]", "line 1: met `2`, expected `,` or `]`"),
            ("[type.url/x] { }", "line 1: met `[`, expected the name of a field"),
        ];
        for (text, wanted) in table {
            assert_eq!(Message::read(text).unwrap_err(), wanted, "{text}");
        }
        let deep = "a{".repeat(40);
        assert_eq!(Message::read(&deep).unwrap_err(), "line 1: messages are nested deeper than 32");
    }
}
