//! Replicas and backlog over time, as a picture.

use anyhow::{Result, anyhow};
use plotters::prelude::*;

use crate::figures::{Figures, Moment};

const COLOURS: [RGBColor; 4] = [RGBColor(0, 110, 180), RGBColor(213, 94, 0), RGBColor(0, 158, 115), RGBColor(150, 80, 160)];

/// One panel: a title, and what of a moment it shows.
type Panel = (&'static str, fn(&Moment) -> f64);

/// Draws the runs of one trace, each with its name, above each other: replicas, and messages in the queue.
pub fn draw(title: &str, runs: &[(&str, &Figures)]) -> Result<String> {
    let mut text = String::new();
    {
        let root = SVGBackend::with_string(&mut text, (760, 460)).into_drawing_area();
        let wrong = |error: &dyn std::fmt::Display| anyhow!("plot: {error}");
        root.fill(&WHITE).map_err(|error| wrong(&error))?;
        let root = root.titled(title, ("sans-serif", 18)).map_err(|error| wrong(&error))?;
        let panels: [Panel; 2] = [("replicas", |moment| moment.replicas), ("messages in the queue", |moment| moment.backlog)];
        for (area, (label, figure)) in root.split_evenly((2, 1)).iter().zip(panels) {
            let values = || runs.iter().flat_map(|(_, figures)| figures.history.iter().map(figure));
            let highest = values().fold(1.0, f64::max) * 1.05;
            let seconds = runs.iter().map(|(_, figures)| figures.history.len()).max().unwrap_or(1);
            let minutes = f64::from(u32::try_from(seconds).unwrap_or(u32::MAX)) / 60.0;
            let mut chart = ChartBuilder::on(area)
                .margin(6)
                .x_label_area_size(28)
                .y_label_area_size(52)
                .build_cartesian_2d(0.0..minutes, 0.0..highest)
                .map_err(|error| wrong(&error))?;
            chart.configure_mesh().disable_x_mesh().x_desc("minutes").y_desc(label).draw().map_err(|error| wrong(&error))?;
            for ((name, figures), colour) in runs.iter().zip(COLOURS) {
                chart
                    .draw_series(LineSeries::new(thinned(&figures.history, figure), colour.stroke_width(2)))
                    .map_err(|error| wrong(&error))?
                    .label(*name)
                    .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 18, y)], colour.stroke_width(2)));
            }
            chart
                .configure_series_labels()
                .background_style(WHITE.mix(0.8))
                .border_style(BLACK.mix(0.3))
                .draw()
                .map_err(|error| wrong(&error))?;
        }
        root.present().map_err(|error| wrong(&error))?;
    }
    Ok(text)
}

/// A line of few points: where it bends, and its extremes in each tenth of a minute.
fn thinned(history: &[Moment], figure: fn(&Moment) -> f64) -> Vec<(f64, f64)> {
    let mut points = Vec::new();
    for (number, chunk) in history.chunks(6).enumerate() {
        let minute = f64::from(u32::try_from(number).unwrap_or(u32::MAX)) / 10.0;
        let highest = chunk.iter().map(figure).fold(0.0, f64::max);
        points.push((minute, highest));
    }
    // Points on a level line say nothing.
    let level = |index: usize| {
        index > 0
            && index + 1 < points.len()
            && (points[index - 1].1 - points[index].1).abs() < 1e-9
            && (points[index + 1].1 - points[index].1).abs() < 1e-9
    };
    (0..points.len()).filter(|index| !level(*index)).map(|index| points[index]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_small_and_names_its_lines() {
        let history = (0..3600)
            .map(|second| Moment { replicas: f64::from(second % 40), backlog: f64::from(second % 700), age: 0.0 })
            .collect();
        let figures = Figures { history, ..Figures::default() };
        let text = draw("step", &[("one", &figures), ("two", &figures)]).unwrap();
        assert!(text.starts_with("<svg") && text.contains("two") && text.contains("minutes"));
        assert!(text.len() < 60_000, "{} bytes", text.len());
    }
}
