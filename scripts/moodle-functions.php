<?php
// Prints src/config/moodle_functions/known.txt, from the db/services.php files of unpacked releases of Moodle:
//
//   php scripts/moodle-functions.php moodle-4.4.12 moodle-5.0 > src/config/moodle_functions/known.txt
//
// Give it Moodle as it is released, without plugins of other makers. A services.php is only run where it is nothing but
// lists of texts, numbers and truth. Then compare VERSIONS in src/config/moodle_functions/known.rs, look at what is new, and
// read the source of each new function that Moodle calls `read`: src/config/moodle_functions/not_reading.rs.

define('MOODLE_INTERNAL', true);
define('MOODLE_OFFICIAL_MOBILE_SERVICE', 'moodle_mobile_app');

const HARMLESS = [
    T_OPEN_TAG, T_COMMENT, T_DOC_COMMENT, T_WHITESPACE, T_CONSTANT_ENCAPSED_STRING, T_DOUBLE_ARROW, T_ARRAY, T_LNUMBER,
    T_CLASS, T_PAAMAYIM_NEKUDOTAYIM, T_LOGICAL_OR, T_BOOLEAN_OR, T_EXIT, T_NAME_QUALIFIED, T_NAME_FULLY_QUALIFIED,
];

// Is this nothing but `$functions` and `$services`, with what stands in them?
function is_list(string $source): bool {
    $before_class = false;
    foreach (array_reverse(token_get_all($source)) as $token) {
        [$kind, $text] = is_array($token) ? $token : [null, $token];
        $fits = match ($kind) {
            null => str_contains('[](),;=.-', $text),
            T_VARIABLE => in_array($text, ['$functions', '$services'], true),
            T_STRING => $before_class || in_array(
                $text, ['defined', 'true', 'false', 'MOODLE_INTERNAL', 'MOODLE_OFFICIAL_MOBILE_SERVICE'], true),
            default => in_array($kind, HARMLESS, true),
        };
        if (!$fits) {
            return false;
        }
        $before_class = $kind === T_PAAMAYIM_NEKUDOTAYIM;
    }
    return true;
}

// Function => [type, "yes" or "app"].
function declared(string $root): array {
    $found = [];
    $files = new RecursiveIteratorIterator(new RecursiveDirectoryIterator($root, FilesystemIterator::SKIP_DOTS));
    foreach ($files as $file) {
        $path = $file->getPathname();
        if (!str_ends_with($path, '/db/services.php') || str_contains($path, '/tests/')) {
            continue;
        }
        if (!is_list(file_get_contents($path))) {
            fwrite(STDERR, "$path is more than a list: read it\n");
            exit(1);
        }
        $functions = [];
        include $path;
        foreach ($functions as $name => $function) {
            $in_app = in_array(MOODLE_OFFICIAL_MOBILE_SERVICE, $function['services'] ?? [], true);
            $found[$name] = [$function['type'] ?? 'write', $in_app ? 'app' : 'yes'];
        }
    }
    return $found;
}

function release(string $root): string {
    preg_match('/^\$release\s*=\s*\'([^\']*)\'/m', file_get_contents("$root/version.php"), $found);
    return $found[1];
}

$roots = array_slice($argv, 1);
echo "# Web service functions of Moodle and its standard plugins, as lib/db/services.php and the plugins' db/services.php declare\n";
echo "# them. Facts alone: each function's name, its `type`, and for each release whether that has it (yes), has it in the\n";
echo "# service moodle_mobile_app (app), or does not have it (-). Where releases differ in `type`, it is write.\n";
echo "# Made by scripts/moodle-functions.php from\n";
foreach ($roots as $root) {
    echo "#   Moodle ", release($root), "\n";
}
$all = array_map('declared', $roots);
$names = array_keys(array_merge(...$all));
sort($names, SORT_STRING);
foreach ($names as $name) {
    $types = array_filter(array_map(fn($known) => $known[$name][0] ?? null, $all));
    $is_read = array_values(array_unique($types)) === ['read'];
    $offered = array_map(fn($known) => $known[$name][1] ?? '-', $all);
    echo implode(' ', [$name, $is_read ? 'read' : 'write', ...$offered]), "\n";
}
