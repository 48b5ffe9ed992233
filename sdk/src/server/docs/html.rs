//! Writes HTML: what is markup is fixed in this crate, what comes from elsewhere is escaped.

/// A page that grows.
#[derive(Debug, Default)]
pub(super) struct Html {
    out: String,
}

impl Html {
    pub(super) fn into_text(self) -> String {
        self.out
    }

    /// Writes markup.
    pub(super) fn raw(&mut self, markup: &'static str) -> &mut Self {
        self.out.push_str(markup);
        self
    }

    /// Writes text, or the value of an attribute that stands in quotes.
    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        for char in text.chars() {
            match char {
                '&' => self.out.push_str("&amp;"),
                '<' => self.out.push_str("&lt;"),
                '>' => self.out.push_str("&gt;"),
                '"' => self.out.push_str("&quot;"),
                '\'' => self.out.push_str("&#39;"),
                other => self.out.push(other),
            }
        }
        self
    }

    /// Writes a text between an opening and a closing tag.
    pub(super) fn within(&mut self, open: &'static str, text: &str, close: &'static str) -> &mut Self {
        self.raw(open).text(text).raw(close)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_comes_from_elsewhere_is_markup() {
        let mut html = Html::default();
        html.within("<p title=\"x\">", "<script>\"'&", "</p>");
        assert_eq!(html.into_text(), "<p title=\"x\">&lt;script&gt;&quot;&#39;&amp;</p>");
    }
}
