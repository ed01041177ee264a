# COCO's images in the zip files as they are downloaded: data/coco/train2017.zip, data/coco/val2017.zip.
# A pipeline of another recipe loads with these arguments; the collate function brings the backend to workers that are
# started with spawn.
custom_imports = dict(imports=['hrnet_plugins.io'])
zip_load = dict(type='LoadImageFromFile', backend_args=dict(backend='zip'))
zip_collate = dict(type='hrnet_plugins.zip_collate')
zip_train_images = dict(img='train2017.zip/train2017/')
zip_val_images = dict(img='val2017.zip/val2017/')
