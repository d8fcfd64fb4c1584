//! As much XML as EC2's and STS's answers need.

/// A document that is being written.
#[derive(Default)]
pub(crate) struct Xml(String);

impl Xml {
    /// An EC2 answer: the root with its namespace and a request id.
    pub(crate) fn document(root: &str, inside: impl FnOnce(&mut Xml) -> &mut Xml) -> Xml {
        let mut xml = Xml(format!("<{root} xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\">"));
        xml.text("requestId", "5c8c5e9b-0000-4000-8000-000000000000");
        inside(&mut xml);
        xml.0 += &format!("</{root}>");
        xml
    }

    /// A document without either.
    pub(crate) fn plain(root: &str, inside: impl FnOnce(&mut Xml) -> &mut Xml) -> Xml {
        let mut xml = Xml::default();
        xml.within(root, inside);
        xml
    }

    /// An element with text in it.
    pub(crate) fn text(&mut self, name: &str, text: impl AsRef<str>) -> &mut Xml {
        let escaped = text.as_ref().replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        self.0 += &format!("<{name}>{escaped}</{name}>");
        self
    }

    /// An element with text, if there is any.
    pub(crate) fn option(&mut self, name: &str, text: Option<&str>) -> &mut Xml {
        match text {
            Some(text) if !text.is_empty() => self.text(name, text),
            _ => self,
        }
    }

    /// An element with others in it.
    pub(crate) fn within(&mut self, name: &str, inside: impl FnOnce(&mut Xml) -> &mut Xml) -> &mut Xml {
        self.0 += &format!("<{name}>");
        inside(self);
        self.0 += &format!("</{name}>");
        self
    }

    /// A list: an `item` for each.
    pub(crate) fn list<T>(
        &mut self,
        name: &str,
        all: impl IntoIterator<Item = T>,
        each: impl Fn(&mut Xml, T),
    ) -> &mut Xml {
        self.within(name, |xml| {
            for one in all {
                xml.within("item", |xml| {
                    each(xml, one);
                    xml
                });
            }
            xml
        })
    }

    /// The document's text.
    pub(crate) fn finish(self) -> String {
        format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{}", self.0)
    }
}
