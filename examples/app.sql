-- The workflow resize_all: two sizes of one picture, then its caption. Steps run in the order of their numbers.
-- Parameters are text: text goes to a str parameter as it is; for any other type it is read as JSON, or as that type writes itself.
INSERT INTO ms_task_definition VALUES
    ('resize_all', 1, 'resize', 0, 'url', 'https://example.org/cat.png', 'width', '320', NULL, NULL, NULL, NULL, NULL, NULL),
    ('resize_all', 2, 'resize', 0, 'url', 'https://example.org/cat.png', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
    ('resize_all', 3, 'caption', 0, 'title', 'The cat', 'taken', '2024-02-29', 'people', '["Ada", "Grace"]', NULL, NULL, NULL, NULL)
ON CONFLICT DO NOTHING;
