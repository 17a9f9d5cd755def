//! Reads what tests measured.

use opentelemetry::metrics::{Meter, MeterProvider as _};
use opentelemetry_sdk::metrics::{
    InMemoryMetricExporter, PeriodicReader, SdkMeterProvider,
    data::{AggregatedMetrics, GaugeDataPoint, Metric, MetricData, SumDataPoint},
};

/// The instruments of one test.
pub(crate) struct Measured {
    provider: SdkMeterProvider,
    exporter: InMemoryMetricExporter,
}

/// A point's labels, as `label=value,...`, and its value.
type Point<T> = (String, T);

fn labels<'a>(of: impl Iterator<Item = &'a opentelemetry::KeyValue>) -> String {
    let mut labels: Vec<_> = of.map(|label| format!("{}={}", label.key, label.value)).collect();
    labels.sort();
    labels.join(",")
}

fn sum<T: Copy>(point: &SumDataPoint<T>) -> Point<T> {
    (labels(point.attributes()), point.value())
}

fn last<T: Copy>(point: &GaugeDataPoint<T>) -> Point<T> {
    (labels(point.attributes()), point.value())
}

impl Measured {
    pub(crate) fn new() -> Self {
        let exporter = InMemoryMetricExporter::default();
        let provider = SdkMeterProvider::builder()
            .with_reader(PeriodicReader::builder(exporter.clone()).build())
            .build();
        Self { provider, exporter }
    }

    pub(crate) fn meter(&self) -> Meter {
        self.provider.meter("test")
    }

    /// The points of `name` now, sorted.
    fn points<T>(&self, name: &str, read: impl Fn(&Metric) -> Vec<Point<T>>) -> Vec<Point<T>> {
        self.exporter.reset();
        self.provider.force_flush().unwrap();
        let all = self.exporter.get_finished_metrics().unwrap();
        let metrics = all
            .iter()
            .flat_map(opentelemetry_sdk::metrics::data::ResourceMetrics::scope_metrics)
            .flat_map(opentelemetry_sdk::metrics::data::ScopeMetrics::metrics);
        let mut points: Vec<_> = metrics
            .filter(|metric| metric.name() == name)
            .flat_map(read)
            .collect();
        points.sort_by(|a, b| a.0.cmp(&b.0));
        points
    }

    /// The counter `name`.
    pub(crate) fn counter(&self, name: &str) -> Vec<Point<u64>> {
        self.points(name, |metric| match metric.data() {
            AggregatedMetrics::U64(MetricData::Sum(of)) => of.data_points().map(sum).collect(),
            _ => panic!("{name} is no counter"),
        })
    }

    /// The gauge `name`.
    #[expect(clippy::cast_precision_loss, reason = "small figures")]
    pub(crate) fn gauge(&self, name: &str) -> Vec<Point<f64>> {
        self.points(name, |metric| match metric.data() {
            AggregatedMetrics::F64(MetricData::Gauge(of)) => of.data_points().map(last).collect(),
            AggregatedMetrics::U64(MetricData::Gauge(of)) => {
                let points = of.data_points().map(last);
                points.map(|(labels, value)| (labels, value as f64)).collect()
            }
            _ => panic!("{name} is no gauge"),
        })
    }
}
