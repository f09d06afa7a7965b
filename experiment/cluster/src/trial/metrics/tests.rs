use proptest::prelude::*;

use super::*;

/// As Numaflow's data plane writes it (`CORE/metrics/mod.rs`, by prometheus-client).
const METRICS: &str = r#"# HELP forwarder_data_read Total number of Data Messages Read.
# TYPE forwarder_data_read counter
forwarder_data_read_total{vertex="udf",pipeline="p",vertex_type="ReduceUDF",replica="0",partition_name="p-udf-0"} 700
forwarder_data_read_total{vertex="udf",pipeline="p",vertex_type="ReduceUDF",replica="1",partition_name="p-udf-1"} 300
# TYPE forwarder_drop counter
forwarder_drop_total{vertex="udf",reason="late-message"} 3
forwarder_drop_total{vertex="udf",reason="old-message-popped-up"} 4
forwarder_drop_total{vertex="udf",reason="old-message-popped-up",replica="1"} 1
forwarder_drop_total{vertex="udf",reason="Dropped Upstream"} 0
reduce_closed_windows{vertex="udf"} 2
reduce_active_windows{vertex="udf"} 1
isb_jetstream_buffer_soft_usage{buffer_name="a"} 0.25
isb_jetstream_buffer_soft_usage{buffer_name="b"} 0.5
isb_jetstream_write_error_total{reason="say \"no\", }"} 2
# EOF
"#;

#[test]
fn the_metrics_of_a_reduce_vertex_have_clear_names() {
    let expected = [
        ("numaflow_udf_buffer_use_permille", 500),
        ("numaflow_udf_dropped_dropped_upstream", 0),
        ("numaflow_udf_dropped_late_message", 3),
        ("numaflow_udf_dropped_old_message_popped_up", 5),
        ("numaflow_udf_read", 1_000),
        ("numaflow_udf_read_errors", 0),
        ("numaflow_udf_windows_closing", 2),
        ("numaflow_udf_windows_open", 1),
        ("numaflow_udf_write_errors", 2),
    ];
    let (found, dropped) = of_vertex("udf", METRICS);
    let found: Vec<_> = found
        .iter()
        .map(|(name, count)| (name.as_str(), *count))
        .collect();
    assert_eq!(found, expected);
    assert_eq!(dropped, 8);
    assert_eq!(of_vertex("udf", "# EOF\n").1, 0);
}

#[test]
fn the_pods_of_a_vertex_are_added() {
    let (mut all, _) = of_vertex("udf", METRICS);
    merge(&mut all, of_vertex("udf", METRICS).0);
    assert_eq!(all["numaflow_udf_read"], 2_000);
    assert_eq!(all["numaflow_udf_buffer_use_permille"], 500);
}

#[test]
fn a_process_with_one_metric_only_is_not_measured() {
    let both = "process_cpu_seconds_total 1.5\nprocess_resident_memory_bytes 1048576\n";
    assert_eq!(process(both), Some((1.5, 1_048_576)));
    assert_eq!(process("process_cpu_seconds_total 1.5\n"), None);
}

#[test]
fn a_watermark_is_that_of_the_partition_furthest_behind() {
    assert_eq!(
        watermark_ms(r#"{"0":1795425376396,"1":1795425376000}"#),
        Some(1_795_425_376_000)
    );
    assert_eq!(watermark_ms(r#"{"0":1795425376396,"1":-1}"#), None);
    assert_eq!((watermark_ms("{}"), watermark_ms("no")), (None, None));
}

proptest! {
    #[test]
    fn no_text_panics(text in "[a-z_]{0,4}[{]?[a-z=\",\\\\}]{0,12}[ ]?[0-9.e+-]{0,6}") {
        let _ = of_vertex("udf", &text);
        let _ = watermark_ms(&text);
    }
}
