"""mmpose's hourglass52, which is another network: post-activation blocks, five levels deep, 94.8 million parameters."""

MARK = r"backbone\.(hourglass_modules|inters|conv1x1s|out_convs|stem\.1\.0)\."
REFUSAL = "is mmpose's hourglass52, another network than the paper's, and posehg does not build it."
