// What the report's time axis needs of Apache ECharts, and nothing else.
import * as echarts from 'echarts/core';
import { CustomChart, LineChart } from 'echarts/charts';
import { GridComponent, DataZoomComponent, MarkAreaComponent } from 'echarts/components';
import { SVGRenderer } from 'echarts/renderers';

echarts.use([CustomChart, LineChart, GridComponent, DataZoomComponent, MarkAreaComponent, SVGRenderer]);
globalThis.echarts = { init: echarts.init, version: echarts.version };
