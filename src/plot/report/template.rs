//! Templates of pages, with their style and script.

use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment};
use serde::Serialize;

use crate::error::{Error, Result};

/// A template with what it includes.
pub(super) struct Template {
    body: &'static str,
    script: &'static str,
}

pub(super) const REPORT: Template = Template {
    body: include_str!("report.html"),
    script: include_str!("report.js"),
};

pub(super) const INDEX: Template = Template {
    body: include_str!("index.html"),
    script: include_str!("index.js"),
};

#[derive(Serialize)]
struct Context<'a, T> {
    style: &'static str,
    script: &'static str,
    version: &'static str,
    page: &'a T,
}

/// The page; whatever `data` holds is escaped.
///
/// # Errors
/// Data that the template cannot show.
pub(super) fn render<T: Serialize>(template: &Template, data: &T) -> Result<String> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    let context = Context {
        style: include_str!("style.css"),
        script: template.script,
        version: env!("CARGO_PKG_VERSION"),
        page: data,
    };
    environment
        .render_str(template.body, Serde(&context))
        .map_err(|e| Error::invalid(format!("report: {e}")))
}
