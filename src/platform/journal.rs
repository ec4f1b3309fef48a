//! Where log lines go: to the journal with every field of its own, or to standard error where there is no journal.

use std::{
    fmt,
    io::{self, IsTerminal},
};

use log::kv::{ToValue, Value};
use systemd_journal_logger::{JournalLog, connected_to_journal};
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};
use tracing_log::NormalizeEvent;
use tracing_subscriber::{
    Layer, Registry,
    filter::Targets,
    fmt::format::{Writer, debug_fn},
    layer::{Context, SubscriberExt},
    registry::LookupSpan,
    reload,
    util::SubscriberInitExt,
};

use super::systemd;

/// Sets how much is logged while the daemon runs.
#[derive(Clone)]
pub struct LogLevel {
    filter: reload::Handle<Targets, Registry>,
    to_journal: bool,
}

impl LogLevel {
    /// Starts logging. To be called once.
    pub fn start(level: Level) -> Self {
        let (filter, handle) = reload::Layer::new(targets(level));
        let journal = connected_to_journal().then(JournalLog::empty).and_then(Result::ok);
        let to_journal = journal.is_some();
        let registry = tracing_subscriber::registry();
        match journal.map(|journal| journal.with_syslog_identifier("bearerd".to_owned())) {
            Some(journal) => registry.with(JournalLayer(journal).with_filter(filter)).init(),
            None => {
                let colour = io::stderr().is_terminal() && !systemd::wants_no_colour();
                let layer = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_target(false);
                let layer = layer.with_ansi(colour).fmt_fields(debug_fn(write_field));
                registry.with(layer.with_filter(filter)).init();
            }
        }
        Self { filter: handle, to_journal }
    }

    /// Whether log lines go to the journal, not to standard error.
    pub fn goes_to_journal(&self) -> bool {
        self.to_journal
    }

    /// Changes the level.
    pub fn set(&self, level: Level) {
        let _ = self.filter.reload(targets(level));
    }

    /// The level in force.
    pub fn get(&self) -> Level {
        let level = self.filter.with_current(|targets| {
            let levels = [Level::TRACE, Level::DEBUG, Level::INFO, Level::WARN];
            levels.into_iter().find(|level| targets.would_enable("bearerd", level))
        });
        level.ok().flatten().unwrap_or(Level::ERROR)
    }
}

/// The message comes first. Its id is for the journal's catalog and of no use to a reader.
fn write_field(writer: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug) -> fmt::Result {
    match field.name() {
        "message" => write!(writer, "{value:?}"),
        "message_id" => Ok(()),
        name => write!(writer, " {name}={value:?}"),
    }
}

/// Libraries log what they send, so they are never let below warnings, whatever level is asked for.
fn targets(level: Level) -> Targets {
    Targets::new().with_default(level.min(Level::WARN)).with_target("bearerd", level)
}

/// A layer that gives each event to the journal, each field as a journal field with the prefix `BEARERD_`, so that none
/// can pose as one of the journal's own; `message_id` alone is let through for the catalog.
struct JournalLayer<S>(S);

/// Where records end up: the journal, or a list in a test.
trait Sink: 'static {
    fn send(&self, record: &log::Record<'_>);
}

impl Sink for JournalLog {
    fn send(&self, record: &log::Record<'_>) {
        // A line that cannot be logged cannot be complained about either.
        let _ = self.journal_send(record);
    }
}

impl<S, K> Layer<S> for JournalLayer<K>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    K: Sink,
{
    fn on_new_span(&self, attributes: &span::Attributes<'_>, id: &span::Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            let mut fields = Fields::default();
            attributes.record(&mut fields);
            span.extensions_mut().insert(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut own = Fields::default();
        event.record(&mut own);
        let normalized = event.normalized_metadata();
        let metadata = normalized.as_ref().unwrap_or_else(|| event.metadata());
        let spans: Vec<_> = context.event_scope(event).map(|scope| scope.from_root().collect()).unwrap_or_default();
        let extensions: Vec<_> = spans.iter().map(|span| span.extensions()).collect();
        let outer = extensions.iter().filter_map(|extensions| extensions.get::<Fields>());
        let pairs: Vec<(&str, Value<'_>)> = outer
            .chain([&own])
            .flat_map(|fields| &fields.named)
            .map(|(name, value)| (name.as_str(), value.to_value()))
            .collect();
        let pairs = pairs.as_slice();
        let mut record = log::Record::builder();
        record.level(level(metadata)).target(metadata.target()).key_values(&pairs);
        record.module_path(metadata.module_path()).file(metadata.file()).line(metadata.line());
        self.0.send(&record.args(format_args!("{}", own.message)).build());
    }
}

fn level(metadata: &Metadata<'_>) -> log::Level {
    match *metadata.level() {
        Level::ERROR => log::Level::Error,
        Level::WARN => log::Level::Warn,
        Level::INFO => log::Level::Info,
        Level::DEBUG => log::Level::Debug,
        Level::TRACE => log::Level::Trace,
    }
}

#[derive(Default)]
struct Fields {
    message: String,
    named: Vec<(String, String)>,
}

impl Fields {
    fn put(&mut self, field: &Field, value: String) {
        match field.name() {
            name if name.starts_with("log.") => {}
            "message" => self.message = value,
            "message_id" => self.named.push(("MESSAGE_ID".to_owned(), value)),
            name => self.named.push((format!("BEARERD_{name}"), value)),
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use log::kv::{Error, Key, VisitSource};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<String>>>);

    impl Sink for Lines {
        fn send(&self, record: &log::Record<'_>) {
            struct Pairs(String);
            impl<'kvs> VisitSource<'kvs> for Pairs {
                fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
                    self.0 += &format!(" {key}={value}");
                    Ok(())
                }
            }
            let mut pairs = Pairs(format!("{} {}", record.level(), record.args()));
            record.key_values().visit(&mut pairs).expect("a visit");
            self.0.lock().expect("a lock").push(pairs.0);
        }
    }

    #[test]
    fn fields_of_event_and_span_reach_the_journal_with_a_prefix() {
        let lines = Lines::default();
        let subscriber = tracing_subscriber::registry().with(JournalLayer(lines.clone()));
        tracing::subscriber::with_default(subscriber, || {
            let span = tracing::info_span!("driver", account = "kinde");
            let _inside = span.enter();
            tracing::warn!(state = "stale", priority = 0, message_id = "abc", "cannot be reached");
        });
        let expected =
            "WARN cannot be reached BEARERD_account=kinde BEARERD_state=stale BEARERD_priority=0 MESSAGE_ID=abc";
        assert_eq!(*lines.0.lock().expect("a lock"), [expected]);
    }

    #[test]
    fn libraries_are_never_let_below_warnings() {
        let trace = targets(Level::TRACE);
        assert!(trace.would_enable("bearerd::broker", &Level::TRACE));
        assert!(trace.would_enable("reqwest", &Level::WARN));
        assert!(!trace.would_enable("reqwest", &Level::INFO));
        assert!(!targets(Level::ERROR).would_enable("reqwest", &Level::WARN));
    }
}
