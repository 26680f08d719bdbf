import { type Panel, rows } from "./panels.ts";

const datasource = { type: "prometheus", uid: "$" + "{DS_PROMETHEUS}" };

const across = 4;
const width = 24 / across;
const height = 8;

/** The dashboard as Grafana imports it; it asks which Prometheus it is to read. */
export function dashboard(): object {
  let id = 1;
  let y = 0;
  const panels = Object.entries(rows).flatMap(([title, row]) => {
    const header = { id: id++, type: "row", title, collapsed: false, panels: [] };
    const at = y;
    y += 1 + height;
    return [
      { ...header, gridPos: { x: 0, y: at, w: 24, h: 1 } },
      ...row.map((panel, column) => ({
        ...panelOf(panel, id++),
        gridPos: { x: column * width, y: at + 1, w: width, h: height },
      })),
    ];
  });
  return {
    __inputs: [
      { name: "DS_PROMETHEUS", label: "Prometheus", type: "datasource", pluginId: "prometheus" },
    ],
    uid: "sessiond",
    title: "sessiond",
    tags: ["sessiond"],
    schemaVersion: 39,
    editable: true,
    refresh: "30s",
    time: { from: "now-3h", to: "now" },
    templating: {
      list: [
        {
          name: "instance",
          label: "instance",
          type: "query",
          datasource,
          query: "label_values(sessiond_info, instance)",
          refresh: 2,
          multi: true,
          includeAll: true,
          current: { text: "All", value: "$__all" },
        },
      ],
    },
    panels,
  };
}

/** All that its panels ask. */
export function dashboardQueries(): string[] {
  const panels = Object.values(rows).flat();
  return panels.flatMap(({ queries }) => queries.map(({ expr }) => expr));
}

function panelOf({ title, unit, queries }: Panel, id: number) {
  return {
    id,
    type: "timeseries",
    title,
    datasource,
    fieldConfig: { defaults: { unit, min: 0 }, overrides: [] },
    options: { legend: { displayMode: "list", placement: "bottom" }, tooltip: { mode: "multi" } },
    targets: queries.map(({ expr, legend }, index) => ({
      refId: "ABCDEF"[index],
      datasource,
      expr,
      legendFormat: legend,
    })),
  };
}
