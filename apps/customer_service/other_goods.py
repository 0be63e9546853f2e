"""Goods of all kinds, in both languages: what a message is compared with beside a catalogue.

A message about a lamp that a shop does not sell is nearer to one of these than to anything in the catalogue, and one
about no product at all is as near to these as to those. Source: the cohort of impostors of Auckenthaler, Carey,
Lloyd-Thomas, "Score normalization for text-independent speaker verification systems", Digital Signal Processing 10, 2000.

No product of a shop is named in ``sample/entities.jsonl`` that stands here, so that its figures hold for other goods too.
"""

from __future__ import annotations

OTHER_GOODS = (
    ("refrigerator", "冰箱"), ("dishwasher", "洗碗机"), ("blender", "榨汁机"), ("frying pan", "平底锅"), ("kitchen knife", "菜刀"),
    ("dinner plates", "餐盘"), ("drinking glasses", "玻璃杯"), ("air conditioner", "空调"), ("heater", "取暖器"), ("clothes iron", "电熨斗"),
    ("hair dryer", "吹风机"), ("electric toothbrush", "电动牙刷"), ("razor", "剃须刀"), ("television", "电视机"), ("camera", "相机"),
    ("tablet computer", "平板电脑"), ("computer mouse", "鼠标"), ("printer", "打印机"), ("router", "路由器"), ("phone case", "手机壳"),
    ("charging cable", "充电线"), ("smart watch", "智能手表"), ("game console", "游戏机"), ("guitar", "吉他"), ("desk lamp", "台灯"),
    ("sofa", "沙发"), ("mattress", "床垫"), ("bookshelf", "书架"), ("office chair", "办公椅"), ("curtains", "窗帘"), ("towel", "毛巾"),
    ("pillow", "枕头"), ("winter coat", "羽绒服"), ("dress", "连衣裙"), ("jeans", "牛仔裤"), ("sandals", "凉鞋"), ("handbag", "手提包"),
    ("suitcase", "行李箱"), ("umbrella", "雨伞"), ("sunglasses", "太阳镜"), ("necklace", "项链"), ("lipstick", "口红"), ("face cream", "面霜"),
    ("shampoo", "洗发水"), ("perfume", "香水"), ("vitamins", "维生素"), ("chocolate", "巧克力"), ("rice", "大米"), ("wine", "葡萄酒"),
    ("milk powder", "奶粉"), ("dog food", "狗粮"), ("toy car", "玩具车"), ("building blocks", "积木"), ("pram", "婴儿车"), ("nappies", "纸尿裤"),
    ("novel", "小说"), ("notebook and pens", "笔记本和笔"), ("bicycle", "自行车"), ("yoga mat", "瑜伽垫"), ("football", "足球"),
    ("fishing rod", "鱼竿"), ("car tyres", "汽车轮胎"), ("drill", "电钻"), ("garden hose", "浇水软管"), ("flower seeds", "花种子"),
)  # fmt: skip
