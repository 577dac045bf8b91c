# The Dice of each pair of a study, a row a cell and pair, a column a condition:  awk -f dice.awk study.csv > dice.csv
BEGIN { FS = OFS = ","; print "cell,fixed_subject,moving_subject,pair,before,clean,contrast,inverted,noise,shift" }
$11 == "dice" {
    key = $1 OFS $9 OFS $10 OFS $8
    if (!(key in before)) order[++rows] = key
    if ($7 == "clean") before[key] = $12
    after[key, $7] = $13
}
END {
    for (row = 1; row <= rows; row++) {
        key = order[row]
        printf "%s,%.4f", key, before[key]
        split("clean contrast inverted noise shift", conditions, " ")
        for (c = 1; c <= 5; c++) printf ",%.4f", after[key, conditions[c]]
        print ""
    }
}
