/**
 * English words that say nothing about what a text is about. Negations are not among them, nor are
 * words that tell plans from facts or before from after.
 */
export const stopWords: ReadonlySet<string> = new Set(
  [
    "a an the this that these those there here it its",
    "i me my mine we us our ours you your yours he him his she her hers they them their theirs",
    "am is are was be been being do does did done doing have has had having",
    "of in on at to for from by with as into and or but so if then than",
    "what which who whom whose when where why how",
    "can could would should will shall may might must",
    "just also very really too some any such about please tell",
  ]
    .join(" ")
    .split(" "),
);
